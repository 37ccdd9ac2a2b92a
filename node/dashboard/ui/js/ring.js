// The cluster as a ring: leader, followers, their progress, and elections replayed from their votes.
import { html, useEffect, useRef } from './lib.js';
import { count, millis } from './format.js';
import { Glyph, lookOf, Shape } from './shapes.js';
import { condition } from './verdict.js';

const RADIUS = 96;
const SLOWER = 6;
const REPLAY_MIN_MS = 900;
const REPLAY_MAX_MS = 2000;
const AFTERGLOW_MS = 500;

/** place puts the nodes on a circle, the first on top; a single node is in the middle. */
export function place(ids) {
	const spots = new Map();
	ids.forEach((id, i) => {
		const angle = (i / ids.length) * 2 * Math.PI - Math.PI / 2;
		const radius = ids.length === 1 ? 0 : RADIUS;
		spots.set(id, { x: Math.round(Math.cos(angle) * radius * 1.12), y: Math.round(Math.sin(angle) * radius) });
	});
	return spots;
}

/** frameOf is the view box that contains the ring and its labels. */
function frameOf(spots) {
	if (spots.size === 0) return '-190 -150 380 300';
	const low = Math.max(...[...spots.values()].map((s) => s.y + (Math.abs(s.x) < 20 ? 60 : 34)));
	const high = Math.min(...[...spots.values()].map((s) => s.y)) - (spots.size === 1 ? 40 : 60);
	return `-190 ${high} 380 ${low - high}`;
}

/** label puts a node's words on the outer side of its disc. */
function label(spot, r) {
	if (Math.abs(spot.x) < 20) return { x: spot.x, y: spot.y <= 0 && spot.x === 0 && spot.y !== 0 ? spot.y - r - 24
		: spot.y + r + 18, anchor: 'middle' };
	return { x: spot.x + Math.sign(spot.x) * (r + 10), y: spot.y - 2, anchor: spot.x > 0 ? 'start' : 'end' };
}

function linkLevel(node) {
	if (node.lag > 1000 || node.rtt > 100 || node.probing) return 'warn';
	return node.ackAge !== null && node.ackAge > 1000 ? 'bad' : 'ok';
}

/** links lists the lines of the heartbeats: from each leader to its followers. */
function links(model, views, chaosNodes) {
	const list = [];
	const { leader } = model;
	if (leader && !leader.unreachable) {
		for (const node of model.nodes) {
			if (node === leader || node.unreachable || (chaosNodes[node.id] ?? 'running') !== 'running') continue;
			list.push({ from: leader.id, to: node.id, level: linkLevel(node) });
		}
	}
	// Nodes on the other side of a partition are drawn by their own views.
	for (const node of model.nodes) {
		const view = views[node.id];
		if (!node.unreachable || !view || !view.leader || view.leader === node.id) continue;
		if (views[view.leader]?.role === 'LEADER') list.push({ from: view.leader, to: node.id, level: 'warn' });
	}
	return list;
}

function detail(node, look, leader) {
	if (look.kind === 'gone') return node.age === null ? '' : `${Math.round(node.age / 1000)} s ago`;
	if (node.unreachable) return 'cut off'; // it is drawn by its own view
	if (node === leader) return `term ${count(node.term)}`;
	if (node.learner && node.sending === 'snapshot') return 'snapshot';
	if (node.learner && node.caught !== null) return `${node.caught} % of the log`;
	if (node.lag > 0 && node.lag > 20) return `lag ${count(node.lag)}`;
	return node.rtt === null ? '' : millis(node.rtt);
}

function Node({ node, spot, r, look, level, leader, onOpen }) {
	const words = label(spot, r);
	const more = detail(node, look, leader);
	if (more === '' && words.y < spot.y - r) words.y += 15; // keep the label next to its disc
	return html`<g class="node" onClick=${() => onOpen(node.id)}>
		<g transform=${`translate(${spot.x} ${spot.y})`}>
			<circle class="backdrop" r=${r + 7} />
			<${Shape} look=${look} r=${r} level=${level} />
			<text class=${`node-id on-${look.kind}`} y="1" dominant-baseline="middle" text-anchor="middle">${node.id}</text>
		</g>
		<text class=${`node-word${look.kind === 'leader' ? ' strong' : ''}`} x=${words.x} y=${words.y}
			text-anchor=${words.anchor}>
			${look.word}
		</text>
		<text class="node-detail" x=${words.x} y=${words.y + 15} text-anchor=${words.anchor}>${more}</text>
	</g>`;
}

/** Sides draws each side of a partition as one soft shape behind its nodes. */
function Sides({ groups, spots }) {
	return groups.map((group, i) => {
		const points = group.map((id) => spots.get(id)).filter(Boolean);
		if (points.length === 0) return null;
		const path = points.length === 1 ? `M${points[0].x} ${points[0].y}h0.1`
			: `M${points.map((p) => `${p.x} ${p.y}`).join('L')}Z`;
		return html`<path key=${i} class=${`side side-${i % 2}`} d=${path} />`;
	});
}

/** timing spreads the steps of an election over its phases: requests, responses, and the same before with pre-votes. */
function timing(election) {
	const total = Math.min(REPLAY_MAX_MS, Math.max(REPLAY_MIN_MS, (election.duration ?? 0) * SLOWER));
	const phaseOf = (s) => `${s.preVote}${s.kind}`;
	const phases = [...new Set(election.steps.map(phaseOf))];
	const length = total / Math.max(1, phases.length);
	const within = new Map();
	const steps = election.steps.map((step) => {
		const phase = phaseOf(step);
		const nth = within.get(phase) ?? 0;
		within.set(phase, nth + 1);
		const size = election.steps.filter((s) => phaseOf(s) === phase).length;
		const delay = phases.indexOf(phase) * length + (nth / Math.max(1, size)) * length * 0.35;
		return { ...step, delay, ms: length * 0.62 };
	});
	return { total, steps };
}

/** replayLabel shows how much slower than the election the replay runs. */
export function replayLabel(election) {
	if (!election.duration) return 'shown slowed down';
	const { total } = timing(election);
	return `shown ${Math.max(1, Math.round(total / election.duration))}x slower`;
}

/** Replay animates the votes of an election, slowly. */
function Replay({ election, spots, frame, onDone }) {
	const layer = useRef(null);
	useEffect(() => {
		const { total, steps } = timing(election);
		const moves = steps.map((step, i) => {
			const dot = layer.current?.children[i];
			const from = spots.get(step.from);
			const to = spots.get(step.to);
			if (!dot || !from || !to) return null;
			const at = (p, opacity) => ({ transform: `translate(${p.x}px, ${p.y}px)`, opacity });
			const frames = [{ ...at(from, 0), offset: 0 }, { ...at(from, 1), offset: 0.08 }, { ...at(to, 1), offset: 0.92 },
				{ ...at(to, 0), offset: 1 }];
			return dot.animate(frames, { duration: step.ms, delay: step.delay, fill: 'both', easing: 'ease-in-out' });
		});
		const timer = setTimeout(onDone, total + AFTERGLOW_MS);
		return () => {
			clearTimeout(timer);
			moves.forEach((m) => m?.cancel());
		};
	}, [election.term]);
	return html`<svg class="ring-layer votes" viewBox=${frame} aria-hidden="true"><g ref=${layer}>
		${election.steps.map((s, i) =>
			html`<g key=${i} class=${`vote vote-${s.kind === 'vote' ? (s.granted ? 'yes' : 'no') : 'ask'}${s.preVote
			? ' vote-pre' : ''}`}>
			<circle r="6" />${s.kind === 'vote' && !s.granted ? html`<path d="M-2.5 -2.5L2.5 2.5M2.5 -2.5L-2.5 2.5" />`
				: null}
		</g>`)}
	</g></svg>`;
}

/** Ring draws the model. replay is an election to replay; onReplayed is called when it is over. */
export function Ring({ state, label: words, onOpen, onReplayed }) {
	const { model, views, chaos, replay } = state;
	const ids = model.nodes.map((n) => n.id);
	const spots = place(ids);
	const frame = frameOf(spots);
	const r = ids.length > 7 ? 17 : 21;
	const chaosNodes = chaos?.nodes ?? {};
	const groups = chaos?.partition ?? [];
	const line = ({ from, to, level }) => {
		const a = spots.get(from);
		const b = spots.get(to);
		return a && b ? html`<line key=${`${from}-${to}`} class=${`link link-${level}`} x1=${a.x} y1=${a.y} x2=${b.x}
			y2=${b.y} />` : null;
	};
	const running = replay?.election;
	return html`<div class=${`ring${running ? ' ring-replaying' : ''}`} role="img" aria-label=${words}>
		<svg class="ring-layer sides" viewBox=${frame} aria-hidden="true"><${Sides} groups=${groups} spots=${spots} /></svg>
		<div class="ring-layer heartbeats">
			<svg viewBox=${frame} aria-hidden="true">${links(model, views, chaosNodes).map(line)}</svg></div>
		<svg class="ring-layer nodes" viewBox=${frame} aria-hidden="true">
			${model.nodes.map((node) => {
				let look = lookOf(node, views[node.id], chaosNodes[node.id]);
				if (running && node.id === running.leader && look.kind === 'leader') look = { kind: 'candidate',
					word: 'candidate', old: false };
				const level = condition(node, chaosNodes[node.id]).level;
				return html`<${Node} key=${node.id} node=${node} spot=${spots.get(node.id)} r=${look.kind === 'leader' ? r - 1
					: r}
					look=${look} level=${level} leader=${model.leader} onOpen=${onOpen} />`;
			})}
		</svg>
		${running ? html`<${Replay} key=${replay.key} election=${running} spots=${spots} frame=${frame}
			onDone=${onReplayed} />` : null}
	</div>`;
}

/** ShapeRow is the ring of a narrow screen: the same shapes in a row. */
export function ShapeRow({ state, label: words, onOpen }) {
	const chaosNodes = state.chaos?.nodes ?? {};
	return html`<ul class="shape-row" aria-label=${words}>
		${state.model.nodes.map((node) => {
			const look = lookOf(node, state.views[node.id], chaosNodes[node.id]);
			return html`<li key=${node.id}>
				<button type="button" onClick=${() => onOpen(node.id)} aria-label=${`node ${node.id}, ${look.word}`}>
				<${Glyph} look=${look} level=${condition(node, chaosNodes[node.id]).level} /><span>${node.id}</span></button>
					</li>`;
		})}
	</ul>`;
}

/** Pips shows the votes for the winner without animation. */
export function Pips({ election, ids }) {
	return html`<span class="pips" aria-hidden="true">
		${ids.map((id) => html`<span key=${id} class=${`pip${election.votes.includes(id) ? ' pip-yes' : ''}`}>
		${id}</span>`)}</span>`;
}
