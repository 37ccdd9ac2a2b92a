// Numbers, times and foreign text for people. An unknown value is "?", never 0.
import { html } from './lib.js';

const grouped = new Intl.NumberFormat('en-US');
const UNKNOWN = '?';

/** count groups the thousands: 10,482. */
export function count(n) {
	return Number.isFinite(n) ? grouped.format(n) : UNKNOWN;
}

/** digits keeps about two significant digits of a small number. */
function digits(n) {
	if (n >= 100 || n === 0) return String(Math.round(n));
	if (n >= 10) return n.toFixed(0);
	return n >= 1 ? n.toFixed(1) : n.toFixed(2);
}

/** millis shows a latency given in milliseconds: 0.42 ms, 3.1 ms, 214 ms, 1.2 s. */
export function millis(ms) {
	if (!Number.isFinite(ms)) return UNKNOWN;
	return ms >= 1000 ? `${digits(ms / 1000)} s` : `${digits(ms)} ms`;
}

/** span shows how long ago or how long, given in milliseconds: 0.4 s, 14 s, 3 min, 4 h, 3 d. */
export function span(ms) {
	if (!Number.isFinite(ms) || ms < 0) return UNKNOWN;
	const seconds = ms / 1000;
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	if (seconds < 120) return `${Math.round(seconds)} s`;
	if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
	if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
	return `${Math.round(seconds / 86400)} d`;
}

/** bytes shows a size: 84 MB. */
export function bytes(n) {
	if (!Number.isFinite(n) || n < 0) return UNKNOWN;
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	let unit = 0;
	while (n >= 1000 && unit < units.length - 1) {
		n /= 1000;
		unit += 1;
	}
	return `${unit === 0 ? n : digits(n)} ${units[unit]}`;
}

/** rate shows something per second. */
export function rate(n) {
	if (!Number.isFinite(n)) return UNKNOWN;
	return n < 10 && n > 0 ? n.toFixed(1) : count(Math.round(n));
}

/** clock shows the time of day of Unix milliseconds, in the reader's zone. */
export function clock(atMs) {
	const when = new Date(atMs);
	return Number.isNaN(when.getTime()) ? UNKNOWN : when.toTimeString().slice(0, 8);
}

/** moment is the full time, for a tooltip. */
export function moment(atMs) {
	const when = new Date(atMs);
	return Number.isNaN(when.getTime()) ? UNKNOWN : when.toISOString();
}

/** plural("vote", 2) is "2 votes". */
export function plural(word, n) {
	return `${count(n)} ${word}${n === 1 ? '' : 's'}`;
}

/** names lists ids: "node 2", "nodes 2 and 3", "nodes 1, 2 and 3". */
export function names(ids) {
	if (ids.length === 0) return 'no node';
	if (ids.length === 1) return `node ${ids[0]}`;
	return `nodes ${ids.slice(0, -1).join(', ')} and ${ids[ids.length - 1]}`;
}

// Control, bidi, zero-width and lone surrogate characters: they could hide or reorder what is around them.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const HIDDEN_EACH = /([\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])/u;

function codePoint(char) {
	return `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** plain is foreign text for a title or a label: hidden characters are spelled out. */
export function plain(text) {
	return HIDDEN.test(text) ? text.split(HIDDEN_EACH).map((s) => (HIDDEN.test(s) ? `[${codePoint(s)}]` : s)).join('')
		: text;
}

/** Text shows foreign text in its own bidi isolate, with hidden characters drawn as escapes. lines keeps breaks. */
export function Text({ s, lines = false, max = Infinity }) {
	const shown = s.length > max ? s.slice(0, max) : s;
	const cut = s.length > max ? html`<span class="cut" title=${`${count(s.length)} characters`}>…</span>` : null;
	if (!HIDDEN.test(shown)) return html`<bdi>${shown}</bdi>${cut}`;
	const parts = shown.split(HIDDEN_EACH).map((part) => {
		if (!HIDDEN.test(part) || (lines && (part === '\n' || part === '\t'))) return part;
		return html`<span class="esc">${codePoint(part)}</span>`;
	});
	return html`<bdi>${parts}</bdi>${cut}`;
}

/** parseExact parses JSON and keeps numbers that a double cannot represent, if the browser can. */
export function parseExact(text) {
	if (typeof JSON.rawJSON !== 'function') return JSON.parse(text);
	return JSON.parse(text, (_key, value, context) => {
		const unsafe = typeof value === 'number' && context?.source !== undefined
			&& (Math.abs(value) > Number.MAX_SAFE_INTEGER || !Number.isFinite(value));
		return unsafe ? JSON.rawJSON(context.source) : value;
	});
}

/** jsonText writes a value as JSON; undefined becomes "". */
export function jsonText(value) {
	return value === undefined ? '' : JSON.stringify(value);
}

/** sentence capitalizes text and ends it with a period. */
export function sentence(text) {
	const trimmed = String(text).trim();
	if (trimmed === '') return '';
	const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
	return ended[0].toUpperCase() + ended.slice(1);
}
