// One node: all its figures, and in raftnode local the buttons that stop, start and pause it.
import { html, useEffect, useRef, useState } from './lib.js';
import { call, requests } from './api.js';
import { bytes, count, millis, span, Text } from './format.js';
import { Histogram } from './charts.js';
import { lookOf, Glyph, Mark, Term } from './shapes.js';
import { condition } from './verdict.js';
import { contactWords } from './nodes.js';
import { CurlButton } from './panel.js';

function Fact({ name, children }) {
	return html`<div class="fact"><dt>${name}</dt><dd>${children}</dd></div>`;
}

/** useAction runs one action at a time and reports its result. */
function useAction(app) {
	const [busy, setBusy] = useState('');
	const runAction = async (name, act) => {
		setBusy(name);
		try {
			await act();
			app.toast(`${name}: done.`);
		} catch (error) {
			app.toast(`${name} failed: ${error.message}`);
		} finally {
			setBusy('');
		}
	};
	return [busy, runAction];
}

/** ChaosButtons stop, start and pause one node of raftnode local. */
export function ChaosButtons({ node, state, app }) {
	const [busy, runAction] = useAction(app);
	const now = state.chaos?.nodes[node.id] ?? 'running';
	const button = (word, act, can) => html`<button type="button" disabled=${!can || busy !== ''}
		onClick=${() => runAction(`${word} node ${node.id}`, act)} aria-label=${`${word} node ${node.id}`}>${word}</button>`;
	return html`<div class="chaos-buttons">
		${now === 'stopped' ? button('Start', () => app.chaos.start(node.id), true)
			: button('Stop', () => app.chaos.stop(node.id), true)}
		${now === 'paused' ? button('Resume', () => app.chaos.resume(node.id), true)
			: button('Pause', () => app.chaos.pause(node.id), now === 'running')}
	</div>`;
}

/** Transfer transfers leadership to a node. */
function Transfer({ node, state, app }) {
	const [busy, runAction] = useAction(app);
	if (node.role === 'LEADER' || node.unreachable || node.member !== 'voter' || !state.model.leaderID) return null;
	const act = () => call(app.source.base(), requests.transfer(node.id), { timeout: 10000 });
	return html`<div class="chaos-buttons">
		<button type="button" disabled=${busy !== ''}
			onClick=${() => runAction(`Transfer leadership to node ${node.id}`, act)}>
		Make it the leader</button><${CurlButton} app=${app} request=${() => requests.transfer(node.id)} /></div>`;
}

function Followers({ state }) {
	const { model } = state;
	const others = model.nodes.filter((n) => n.id !== model.leaderID);
	return html`<h3>Its followers</h3>
		<div class="table-scroll" tabindex="0" role="region" aria-label="Followers"><table class="small-table"><thead><tr>
		<th scope="col">Node</th><th scope="col" class="num">Match</th>
		<th scope="col" class="num">Next</th><th scope="col">State</th><th scope="col" class="num">In flight</th>
			<th scope="col" class="num">RTT</th><th scope="col" class="num">Last answer</th></tr></thead>
		<tbody>${others.map((n) => html`<tr key=${n.id}><th scope="row">${n.id}</th><td class="num">${count(n.match)}</td>
			<td class="num">${count(n.next)}</td>
			<td>${n.sending ?? '?'}</td><td class="num">${count(n.inflight)}</td>
				<td class="num">${millis(n.rtt ?? NaN)}</td>
			<td class="num">${n.ackAge === null ? '?' : `${millis(n.ackAge)} ago`}</td></tr>`)}</tbody></table></div>`;
}

function Facts({ node }) {
	return html`<dl class="facts">
		<${Fact} name="Member">${node.member || 'no'}<//>
		<${Fact} name="Term"><${Term} term=${node.term} /><//>
		<${Fact} name="Voted for">${node.votedFor ? `node ${node.votedFor}` : 'none'}<//>
		<${Fact} name="Its leader">${node.leader ? `node ${node.leader}` : 'none'}<//>
		<${Fact} name="Committed">${count(node.commit)}<//>
		<${Fact} name="Applied">${count(node.applied)}<//>
		<${Fact} name="Log">${count(node.first)} to ${count(node.last)}<//>
		<${Fact} name="Last contact with its leader">${contactWords(node)}<//>
		<${Fact} name="Proposals waiting">${count(node.pending)}<//>
		<${Fact} name="Log on disk">${bytes(node.logBytes ?? NaN)}<//>
		<${Fact} name="Disk free">${bytes(node.freeBytes ?? NaN)}<//>
		<${Fact} name="Up for">${span((node.uptime ?? NaN) * 1000)}<//>
		<${Fact} name="Version"><${Text} s=${node.version || '?'} /><//>
		<${Fact} name="API"><code>${node.api || '?'}</code><//>
		<${Fact} name="Peer address"><code><${Text} s=${node.address || '?'} /></code><//>
		<${Fact} name="Status">${node.age === null ? 'never received' : `${span(node.age)} old`}<//>
	</dl>`;
}

/** Drawer is shown beside the page, which stays usable. */
export function Drawer({ state, app, id }) {
	const node = state.model.nodes.find((n) => n.id === id);
	const box = useRef(null);
	useEffect(() => {
		const before = document.activeElement;
		box.current?.focus({ preventScroll: true });
		return () => before?.isConnected && before.focus({ preventScroll: true });
	}, [id]);
	if (!node) return null;
	const chaosState = state.chaos?.nodes[node.id];
	const look = lookOf(node, state.views[node.id], chaosState);
	const health = condition(node, chaosState);
	return html`<aside class="drawer" aria-labelledby="drawer-title" tabindex="-1" ref=${box}>
		<div class="dialog-head"><h2 id="drawer-title">Node ${node.id}</h2>
			<button type="button" class="quiet close" aria-label="Close the details" onClick=${app.close}>✕</button></div>
		<p class="drawer-state"><${Glyph} look=${look} level=${health.level} /> <b>${look.word}</b>
			<span class=${`health text-${health.level}`}><${Mark} level=${health.level} /> ${health.word}</span></p>
		${node.error ? html`<p class="text-bad"><${Text} s=${node.error} max=${500} /></p>` : null}
		${node.reason ? html`<p class="faded"><${Text} s=${node.reason} max=${300} /></p>` : null}
		${state.capabilities.includes('chaos') ? html`<${ChaosButtons} node=${node} state=${state} app=${app} />` : null}
		<${Transfer} node=${node} state=${state} app=${app} />
		<${Facts} node=${node} />
		<h3>Latency</h3><div class="histograms"><${Histogram} name="Write" q=${node.latency.write} />
			<${Histogram} name="Read" q=${node.latency.read} /><${Histogram} name="Fsync" q=${node.latency.fsync} /></div>
		${node.id === state.model.leaderID && !node.unreachable ? html`<${Followers} state=${state} />` : null}
		${node.api && node.api !== location.origin
			? html`<p><a href=${`${node.api}/${location.hash}`}>Open this node’s page</a></p>` : null}
	</aside>`;
}
