// Small charts: lines over the last minutes, and distributions.
import { html } from './lib.js';
import { count, millis } from './format.js';

export const POINTS = 180;
const WIDTH = 180;
const HEIGHT = 34;

/** path draws the values as a line; a gap stays a gap. */
function path(values, top) {
	let d = '';
	let pen = false;
	const shift = POINTS - values.length;
	values.forEach((value, i) => {
		if (value === null || !Number.isFinite(value)) {
			pen = false;
			return;
		}
		const x = shift + i;
		const y = (HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1);
		d += `${pen ? 'L' : 'M'}${x} ${y}`;
		pen = true;
	});
	return d;
}

/** Sparkline is a figure with its name, its unit and its last 180 samples. */
export function Sparkline({ name, values, format }) {
	const known = values.filter((v) => v !== null && Number.isFinite(v));
	const top = Math.max(1, ...known);
	const latest = values.length ? values[values.length - 1] : null;
	return html`<div class="spark">
		<div class="spark-head"><span class="spark-name">${name}</span><span class="spark-value">${format(latest)}</span>
			</div>
		<svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
			<path class="spark-line" d=${path(values, top)} />
		</svg>
		<div class="spark-foot">${known.length ? `max ${format(top === 1 ? Math.max(...known) : top)}`
			: 'no data yet'}</div>
	</div>`;
}

function bucketName(i, last) {
	return i === last ? `more than ${millis(0.5 * 2 ** (i - 1))}` : `at most ${millis(0.5 * 2 ** i)}`;
}

/** Histogram shows the distribution behind p50 and p99; bucket i counts what took at most 0.5 * 2^i ms. */
export function Histogram({ name, q }) {
	const { buckets } = q;
	const top = Math.max(1, ...buckets);
	const total = buckets.reduce((a, b) => a + b, 0);
	const words = `${name}: p50 ${millis(q.p50)}, p99 ${millis(q.p99)}`;
	return html`<div class="histogram">
		<div class="histogram-words"><span class="spark-name">${name}</span>
			<span>p50 <b>${millis(q.p50)}</b></span><span>p99 <b>${millis(q.p99)}</b></span></div>
		${total > 0 ? html`<svg viewBox=${`0 0 ${buckets.length * 10} 30`} preserveAspectRatio="none" role="img"
			aria-label=${words}>
			${buckets.map((n, i) => html`<g key=${i}><title>${`${count(n)} took ${bucketName(i, buckets.length - 1)}`}</title>
				<rect class="column-back" x=${i * 10 + 1} y="0" width="8" height="30" />
				<rect class="column" x=${i * 10 + 1} y=${30 - (n === 0 ? 0 : Math.max(1.5, (n / top) * 30))} width="8"
					height=${n === 0 ? 0 : Math.max(1.5, (n / top) * 30)} />
			</g>`)}</svg>` : null}
	</div>`;
}
