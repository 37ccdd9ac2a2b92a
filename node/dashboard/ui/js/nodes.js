// The nodes as a table: the same facts as the ring, for keyboard, screen reader and copying.
import { html } from './lib.js';
import { bytes, count, millis, span } from './format.js';
import { Glyph, lookOf, Mark, Term } from './shapes.js';
import { catchingUp, condition } from './verdict.js';

/** contactWords is when a node last received a message from its leader, or last answered the observer. */
export function contactWords(node) {
	if (node.unreachable) return node.age === null ? 'never' : `${span(node.age)} ago`;
	if (node.role === 'LEADER') return '–';
	if (node.contact === null) return '?';
	return node.contact < 0 ? 'never' : millis(node.contact);
}

const known = (node, words) => (node.unreachable ? html`<span class="faded">${words}</span>` : words);

function Row({ node, state, app }) {
	const chaosState = state.chaos?.nodes[node.id];
	const look = lookOf(node, state.views[node.id], chaosState);
	const health = condition(node, chaosState);
	const cell = (label, content, more = '') => html`<td data-label=${label} class=${`num ${more}`}>${content}</td>`;
	const leads = node.role === 'LEADER' && !node.unreachable;
	return html`<tr class=${`node-row${look.kind === 'leader' ? ' leads' : ''}${node.unreachable ? ' away' : ''}`}
		title=${node.error}>
		<th scope="row"><button type="button" class="node-open" data-row onClick=${() => app.open(node.id)}
			aria-label=${`Details of node ${node.id}`}>${node.id}</button></th>
		<td data-label="Role" class="role"><${Glyph} look=${look} level=${health.level} /><span>${look.word}
			${catchingUp(node) ? html` <small class="faded">${catchingUp(node)}</small>` : null}</span></td>
		<td data-label="Health" class=${`health text-${health.level}`}><${Mark} level=${health.level} />
			<span>${health.word}</span></td>
		${cell('Term', html`<${Term} term=${node.term} />`)}
		${cell('Commit', known(node, count(node.commit)))}
		${cell('Match', known(node, count(node.match)))}
		${cell('Lag', leads ? '–' : known(node, count(node.lag)), node.lag > 1000 ? 'text-warn' : '')}
		${cell('Contact', contactWords(node))}
		${cell('RTT', leads ? '–' : known(node, millis(node.rtt ?? NaN)))}
		${cell('Fsync p99', known(node, millis(node.latency.fsync.p99 ?? NaN)), node.slowDisk ? 'text-warn' : '')}
		${cell('Log on disk', known(node, bytes(node.logBytes ?? NaN)))}
	</tr>`;
}

const HEADS = [
	['Node', 'Open a node for all its figures'],
	['Role', 'Its Raft role'],
	['Health', ''],
	['Term', 'Its current term'],
	['Commit', 'Its commit index'],
	['Match', 'The last entry that is on its disk, as far as the leader has received'],
	['Lag', 'Entries that the leader has and it does not'],
	['Contact', 'Time since the last message from its leader'],
	['RTT', 'Round trip of the last message from the leader'],
	['Fsync', '99th percentile of the time that a save takes'],
	['Log', 'Size of the log on its disk'],
];

/** NodeTable shows one row per member. */
export function NodeTable({ state, app }) {
	return html`<div class="table-scroll"><table class="nodes-table">
		<caption class="offscreen">The members of the cluster</caption>
		<thead><tr>${HEADS.map(([word, title], i) =>
			html`<th key=${word} scope="col" class=${i > 2 ? 'num' : ''} title=${title}>
			${word}${word === 'Fsync' ? html` <small>p99</small>` : null}</th>`)}</tr></thead>
		<tbody>${state.model.nodes.map((node) => html`<${Row} key=${node.id} node=${node} state=${state} app=${app} />`)}
			</tbody>
	</table></div>`;
}
