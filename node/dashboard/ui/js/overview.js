// The first screen: ring and table, faults, the log with the command box, figures and events.
import { html, useState } from './lib.js';
import { clock, moment, rate, millis } from './format.js';
import { Histogram, Sparkline } from './charts.js';
import { ago, electionWords, elections, rows, rowWords } from './history.js';
import { alarms, changeWords, verdict } from './verdict.js';
import { calm } from './store.js';
import { Code, CurlButton, Panel } from './panel.js';
import { CommandBox } from './command.js';
import { LogTable } from './logview.js';
import { Mark, Term } from './shapes.js';
import { NodeTable } from './nodes.js';
import { Pips, replayLabel, Ring, ShapeRow } from './ring.js';
import { requests } from './api.js';

function LastElection({ state, app }) {
	const won = elections(state.events);
	const last = won[won.length - 1];
	if (!last) return html`<p class="election faded">No election seen yet.</p>`;
	const running = state.replay?.election;
	const still = calm(state);
	return html`<p class="election"><span class="election-words">
		${running ? `Node ${running.leader} asks for votes, ${replayLabel(running)}` : `Last: ${electionWords(last)}`}
		</span>
		<span class="election-tools"><${Pips} election=${last} ids=${state.model.nodes.map((n) => n.id)} />
		${still ? null : html`<button type="button" class="quiet" disabled=${Boolean(running)}
			onClick=${() => app.replay(last)}>Replay</button>`}</span></p>`;
}

/** ClusterPanel is the ring with its caption; on narrow screens the ring is a row of shapes. */
export function ClusterPanel({ state, app }) {
	const words = verdict(state).line;
	const head = html`<span>term</span> <${Term} term=${state.model.term} />`;
	return html`<${Panel} name="Cluster" className="cluster-panel" tools=${head}>
		<${Ring} state=${state} label=${words} onOpen=${app.open} onReplayed=${app.replayed} />
		<${ShapeRow} state=${state} label="Nodes" onOpen=${app.open} />
		<${LastElection} state=${state} app=${app} />
	<//>`;
}

/** Alarms shows the worst fault; a button opens the rest, so that nothing below moves by itself. */
function Alarms({ state, app }) {
	const [open, setOpen] = useState(false);
	const list = alarms(state.model, state.capabilities.includes('chaos'));
	const shown = open ? list : list.slice(0, 1);
	return html`<section class="alarms" aria-label="Faults">
		${list.length === 0 ? html`<p class="alarm faded"><${Mark} level="ok" /><span>No faults.</span></p>` : null}
		${shown.map((a) => html`<div key=${a.id} class="alarm"><${Mark} level=${a.level} />
			<p><span>${a.why}</span>${a.next ? html` <span class="next"><b>Next:</b> ${a.next}</span>` : null}</p>
			${a.node ? html`<button type="button" class="quiet" onClick=${() => app.open(a.node.id)}>Node ${a.node.id}
				</button>` : null}</div>`)}
		${list.length > 1 ? html`<button type="button" class="quiet alarms-more" aria-expanded=${open}
			onClick=${() => setOpen(!open)}>
			${open ? 'Show only the worst' : `${list.length - 1} more`}</button>` : null}
	</section>`;
}

function Figures({ state }) {
	const { samples, model } = state;
	const of = (name) => samples.map((s) => s[name]);
	const latency = model.leader?.latency;
	return html`<${Panel} name="Figures" className="figures-panel">
		<div class="sparks">
			<${Sparkline} name="Writes/s" values=${of('writes')} format=${rate} />
			<${Sparkline} name="Reads/s" values=${of('reads')} format=${rate} />
			<${Sparkline} name="Write p99" values=${of('p99')} format=${(n) => millis(n ?? NaN)} />
		</div>
		${latency ? html`<div class="histograms"><${Histogram} name="Write" q=${latency.write} />
			<${Histogram} name="Fsync" q=${latency.fsync} /></div>` : null}
	<//>`;
}

function Events({ state }) {
	const [votes, setVotes] = useState(false);
	const now = Date.now();
	const list = rows(state.events, votes, 40);
	const tools = html`<label class="check">
		<input type="checkbox" checked=${votes}
		onChange=${(e) => setVotes(e.currentTarget.checked)} /> votes and roles</label>`;
	return html`<${Panel} name="Events" className="events-panel" tools=${tools}>
		<ul class="events" tabindex="0" aria-label="Events, newest first">
			${list.map((row) => html`<li key=${row.key} class=${`event event-${row.level}`}>
			<time title=${`${moment(row.at)} (${ago(row.at, now)})`}>${clock(row.at)}</time> <span>${rowWords(row)}</span>
				</li>`)}
			${list.length === 0 ? html`<li class="faded">No events since the nodes started.</li>` : null}</ul>
	<//>`;
}

/** Empty shows how to write to an empty store. */
function Empty({ app }) {
	const to = app.source.base() || location.origin;
	return html`<div class="empty"><p>The store is empty. Use the box above, or:</p>
		<${Code} app=${app} line=${`curl -X PUT ${to}/api/v1/kv/greeting --data 'hello'`} />
		<${Code} app=${app} line=${`curl ${to}/api/v1/kv/greeting`} />
		<${Code} app=${app} line=${`curl -X POST ${to}/api/command -H 'Content-Type: application/json' --data `
			+ `'{"op":"incr","key":"visits","by":1}'`} />
	</div>`;
}

function nothingWritten(log) {
	return log.entries.length > 0 && log.entries[0].index === 1 && log.entries.every((e) => e.type === 'noop');
}

function LogPanel({ state, app }) {
	const tools = html`<${CurlButton} app=${app} request=${() => requests.logs(0, 100)} /> <a href="#/log">full log</a>`;
	return html`<${Panel} name="Log" className="log-panel" tools=${tools}>
		<${CommandBox} state=${state} app=${app} />
		<${LogTable} state=${state} limit=${60} />
		${nothingWritten(state.log) ? html`<${Empty} app=${app} />` : null}
	<//>`;
}

/** Waiting is the page of a node that does not belong to a cluster yet. */
function Waiting({ app, state }) {
	const self = state.model.self;
	return html`<div class="empty waiting-node"><h2>This node waits to be added</h2>
		<p>It has no identity on its disk, takes no part in elections and stores no data. Started with <code>--join</code>,
			it can be added to a cluster:</p>
		<${Code} app=${app} line=${`raftctl member add ${self?.address || 'http://h4:7080'}`} />
		<p>or start it as one of a fixed set of voters:</p>
		<${Code} app=${app} line=${`raftnode serve --data-dir DIR --id 1 --initial-cluster 1=${self?.address
			|| 'http://h1:7080'},2=http://h2:7080,3=http://h3:7080`} />
		<p>and request its view again:</p>
		<${Code} app=${app} line=${`curl ${app.source.base() || location.origin}/api/v1/cluster`} /></div>`;
}

/** Removed is the page of a node that was a member. */
function Removed({ app }) {
	return html`<div class="empty waiting-node"><h2>This node was removed from the cluster</h2>
		<p>It never becomes a member again under this id. Its files stay. For a new member, start it with an empty data
			directory and add it:</p>
		<${Code} app=${app} line="raftnode serve --data-dir NEW --join" />
		<${Code} app=${app} line="raftctl member add http://h4:7080" /></div>`;
}

/** Overview is the first tab. */
export function Overview({ state, app }) {
	if (state.model.self?.lifeCycle === 'empty') return html`<${Waiting} app=${app} state=${state} />`;
	if (state.model.self?.lifeCycle === 'removed') return html`<${Removed} app=${app} />`;
	const tools = html`<${CurlButton} app=${app} request=${requests.status} />`;
	const { change } = state.model;
	return html`<div class="overview">
		<${ClusterPanel} state=${state} app=${app} />
		<${Panel} name="Nodes" className="nodes-panel" tools=${tools}><${NodeTable} state=${state} app=${app} />
			${change ? html`<p class="alarm change" role="note"><${Mark} level="warn" /><span>${changeWords(change)}</span></p>`
				: null}
			<${Alarms} state=${state} app=${app} /><//>
		<${LogPanel} state=${state} app=${app} />
		<div class="side"><${Figures} state=${state} /><${Events} state=${state} /></div>
	</div>`;
}
