// The shapes of the roles. The form identifies each; color only helps.
import { html } from './lib.js';

/** lookOf returns the shape of a node: its kind, and whether its status is old. */
export function lookOf(node, view, chaosState) {
	if (chaosState === 'stopped') return { kind: 'gone', word: 'stopped', old: false };
	if (node.unreachable && !view) return { kind: 'gone', word: chaosState === 'paused' ? 'paused' : 'no answer',
		old: false };
	const role = (node.unreachable && view ? view.role : node.role) ?? '';
	if (chaosState === 'paused') return { kind: 'gone', word: 'paused', old: true };
	if (node.lifeCycle === 'empty') return { kind: 'unknown', word: 'waits', old: node.old };
	if (node.lifeCycle === 'removed') return { kind: 'unknown', word: 'removed', old: node.old };
	if (node.member === '') return { kind: 'unknown', word: 'no member', old: node.old };
	switch (role.toUpperCase()) {
		case 'LEADER': return { kind: 'leader', word: 'LEADER', old: node.old };
		case 'CANDIDATE': return { kind: 'candidate', word: 'candidate', old: node.old };
		case 'LEARNER': return { kind: 'learner', word: 'learner', old: node.old };
		case 'FOLLOWER': return node.learner
			? { kind: 'learner', word: 'learner', old: node.old }
			: { kind: 'follower', word: 'follower', old: node.old };
		default: return { kind: 'unknown', word: '?', old: node.old };
	}
}

/** Shape draws a role around the origin with radius r. */
export function Shape({ look, r, level = 'ok' }) {
	const classes = `shape shape-${look.kind} level-${level}${look.old ? ' shape-old' : ''}`;
	switch (look.kind) {
		case 'leader':
			return html`<g class=${classes}><circle class="ring-outer" r=${r + 4} /><circle class="disc" r=${r} /></g>`;
		case 'learner':
			return html`<g class=${classes}>
				<rect class="disc" x=${-r * 0.9} y=${-r * 0.9} width=${r * 1.8} height=${r * 1.8} rx="2" /></g>`;
		case 'gone': {
			const a = r * 0.71;
			const b = r * 0.36;
			const c = r * 0.94;
			return html`<g class=${classes}>
				<circle class="disc" r=${r} />
				<path class="hatch" d=${`M${-a} ${-a}L${a} ${a}M${-c} ${-b}L${b} ${c}M${-b} ${-c}L${c} ${b}M${a} ${-a}L${-a} `
					+ `${a}`} />
			</g>`;
		}
		default:
			return html`<g class=${classes}><circle class="disc" r=${r} /></g>`;
	}
}

/** Glyph is a role as a small icon beside its name. */
export function Glyph({ look, level }) {
	return html`<svg class="glyph" viewBox="-12 -12 24 24" aria-hidden="true">
		<${Shape} look=${look} r=${look.kind === 'leader' ? 6 : 8} level=${level} /></svg>`;
}

const MARKS = {
	ok: 'M-4.5 0.5L-1.5 3.5L4.5 -3',
	warn: 'M0 -4.5V1M0 3.6V4.2',
	bad: 'M-3.5 -3.5L3.5 3.5M3.5 -3.5L-3.5 3.5',
	lost: 'M-3 -2.2A3 3 0 1 1 0 0.6V1.6M0 4V4.4',
};

/** Mark is the verdict, or a node's health, as a shape: disc, triangle, octagon, dotted ring. */
export function Mark({ level, size = 'small' }) {
	const mark = MARKS[level] ?? MARKS.lost;
	const outline = {
		ok: html`<circle class="mark-body" r="10" />`,
		warn: html`<path class="mark-body" d="M0 -10.5L11 9.5H-11Z" />`,
		bad: html`<path class="mark-body" d="M-4.4 -10.5H4.4L10.5 -4.4V4.4L4.4 10.5H-4.4L-10.5 4.4V-4.4Z" />`,
	}[level] ?? html`<circle class="mark-body" r="10" />`;
	return html`<svg class=${`mark mark-${size} mark-${level}`} viewBox="-12 -12 24 24" aria-hidden="true">
		${outline}<path class="mark-sign" d=${mark} transform=${level === 'warn' ? 'translate(0 2.6)' : ''} />
	</svg>`;
}

/** Logo is a square sail over three logs. */
export function Logo() {
	return html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
		<path class="logo-sail" d="M8 4.5Q16 7.5 24 4.5Q22 12 24 19.5Q16 16.5 8 19.5Q10 12 8 4.5Z" />
		<path class="logo-line" d="M16 2V22.5M3 24H29M5 28H27" />
	</svg>`;
}

/** Term is a term number on a band; the tint only helps to find a change. */
export function Term({ term }) {
	if (term === null) return html`<span class="term">?</span>`;
	return html`<span class=${`term tint-${term % 6}`}>${term}</span>`;
}
