// The replicated log: newest first, committed entries below the rule, and which nodes have each entry on disk.
import { html, useEffect, useRef, useState } from './lib.js';
import { clock, count, jsonText, moment, Text } from './format.js';
import { commandKey } from './keystore.js';
import { Term } from './shapes.js';
import { CurlButton } from './panel.js';
import { requests } from './api.js';

const TEXT = 160; // characters of a key or a value in a row

/** valueWords shows the value of a command as JSON. A put of JSON has it in a separate field. */
function valueWords(command) {
	return jsonText(command.json === undefined ? command.value : command.json);
}

/** Command shows a command in words. */
export function Command({ entry }) {
	const { command } = entry;
	if (entry.type === 'noop') return html`<span class="noop">no-op at the start of a term</span>`;
	if (entry.type === 'check') return html`<span class="noop">check that all nodes have the same state</span>`;
	const key = commandKey(command);
	if (command === null || typeof command !== 'object' || !command.op || key === '') {
		return html`<${Text} s=${jsonText(command)} max=${TEXT} />`;
	}
	const name = html`<a class="key" href=${`#/keys?key=${encodeURIComponent(safe(key))}`}>
		<${Text} s=${key} max=${TEXT} /></a>`;
	const value = html`<span class="value"><${Text} s=${valueWords(command)} max=${TEXT} /></span>`;
	switch (command.op) {
		case 'set':
		case 'put': return html`<span class="op">${command.op}</span> ${name} = ${value}`;
		case 'incr': return html`<span class="op">incr</span> ${name} by ${jsonText(command.by) || '1'}`;
		case 'cas': return html`<span class="op">cas</span> ${name}: <span class="value">
			<${Text} s=${jsonText(command.expected) || 'null'} max=${TEXT} /></span> → ${value}`;
		default: return html`<span class="op">${String(command.op)}</span> ${name}`;
	}
}

/** safe keeps a lone surrogate from breaking a link. */
function safe(text) {
	return text.isWellFormed?.() === false ? text.toWellFormed() : text;
}

/** holders returns for each member whether its disk has an entry: true, false, or null if that is unknown. */
function holders(model, index) {
	// The log may be newer than the status of the leader; an entry that the status does not cover is unknown.
	const covered = model.leader !== null && index <= model.leader.last;
	return model.nodes.map((n) =>
		({ id: n.id, has: n.match !== null && n.match >= index ? true : (covered && n.match !== null ? false : null) }));
}

function Marks({ model, index }) {
	const marks = holders(model, index);
	const words = marks.map((m) =>
		`node ${m.id}: ${m.has === null ? 'unknown' : m.has ? 'has it' : 'not yet'}`).join(', ');
	return html`<td class="marks"><span class="offscreen">${words}</span><span aria-hidden="true">${marks.map((m) => html`
		<i key=${m.id} class=${`has has-${m.has === null ? 'unknown' : m.has ? 'yes' : 'no'}`} title=${`node ${m.id}`}>
			</i>`)}</span></td>`;
}

function Row({ entry, model, committed, wide, selected }) {
	return html`<tr class=${`entry${committed ? '' : ' uncommitted'}${selected ? ' selected' : ''}`}>
		<td class="num index">${count(entry.index)}</td>
		<td class="num"><${Term} term=${entry.term} /></td>
		<td class="command"><${Command} entry=${entry} />
			${committed ? null : html`<em class="not-yet">not committed</em>`}</td>
		${wide ? html`<td class="num when" title=${moment(entry.at)}>${clock(entry.at)}</td>` : null}
		<${Marks} model=${model} index=${entry.index} />
	</tr>`;
}

function Heads({ model, wide }) {
	return html`<thead><tr><th scope="col" class="num">Index</th><th scope="col" class="num">Term</th>
		<th scope="col">Command</th>
		${wide ? html`<th scope="col" class="num">Time</th>` : null}
		<th scope="col" class="marks"><span class="offscreen">On the disk of node</span><span aria-hidden="true">
			${model.nodes.map((n) => html`<i key=${n.id}>${n.id}</i>`)}</span></th></tr></thead>`;
}

/** useHeld keeps the rows still while the pointer is over them: new rows wait and are counted. */
function useHeld(entries, freeze) {
	const [held, setHeld] = useState(false);
	const kept = useRef(entries);
	if (!held || freeze) kept.current = entries;
	const newest = (list) => (list.length ? list[list.length - 1].index : 0);
	return { shown: kept.current, waiting: Math.max(0, newest(entries) - newest(kept.current)), held, setHeld };
}

/** LogTable shows entries newest first with a rule at the commit index; filter selects among the loaded rows. */
export function LogTable({ state, times = false, limit = Infinity, filter = '' }) {
	const { log, model } = state;
	const wide = times && !matchMedia('(max-width: 699px)').matches;
	const box = useRef(null);
	const { shown, waiting, setHeld } = useHeld(log.entries, log.browsing);
	const [over, setOver] = useState(false);
	const [scrolled, setScrolled] = useState(false);
	useEffect(() => setHeld(over || scrolled), [over, scrolled]);
	const commit = Math.max(log.commit, model.self?.commit ?? 0);
	const needle = filter.toLowerCase();
	const matching = needle ? shown.filter((e) => jsonText(e.command).toLowerCase().includes(needle)) : shown;
	const rows = matching.slice(-limit).reverse();
	const rule = rows.findIndex((e) => e.index <= commit);
	const columns = wide ? 5 : 4;
	const catchUp = () => {
		setOver(false);
		box.current.scrollTop = 0;
		setScrolled(false);
		setHeld(false);
	};
	return html`<div class="log-box">
		<button type="button" class=${`waiting${waiting > 0 ? ' waiting-some' : ''}`} tabindex=${waiting > 0 ? 0 : -1}
			onClick=${catchUp}>
			${waiting > 0 ? `${count(waiting)} new, show` : ''}</button>
		<div class="log-scroll" ref=${box} tabindex="0" role="region" aria-label="Log entries"
			onMouseEnter=${() => setOver(true)} onMouseLeave=${() => setOver(false)}
				onScroll=${(e) => setScrolled(e.currentTarget.scrollTop > 4)}>
			<table class="log-table"><${Heads} model=${model} wide=${wide} />
				<tbody>${rows.flatMap((e, i) => [
					i === rule ? html`<tr key="rule" class="rule"><td colspan=${columns}><span>committed ${count(commit)}</span>
						</td></tr>` : null,
					html`<${Row} key=${e.index} entry=${e} model=${model} wide=${wide} committed=${e.index <= commit} />`,
				])}</tbody></table>
			${rows.length === 0 ? html`<p class="nothing">${needle ? 'No loaded row matches.' : log.error
				? `The log cannot be read at present: ${log.error}.` : 'No entries yet.'}</p>` : null}
		</div></div>`;
}

/** LogView is the tab: the whole log, page by page. */
export function LogView({ state, app }) {
	const { log } = state;
	const [filter, setFilter] = useState('');
	const [jump, setJump] = useState('');
	const first = log.entries.length ? log.entries[0].index : 0;
	const last = log.entries.length ? log.entries[log.entries.length - 1].index : 0;
	const go = (event) => {
		event.preventDefault();
		const index = Number(jump.replaceAll(',', ''));
		if (Number.isSafeInteger(index) && index > 0) app.log.jump(index);
	};
	return html`<div class="log-view"><div class="log-tools">
			<label class="field">Filter <input type="search" data-filter value=${filter} placeholder="text in a loaded row"
				onInput=${(e) => setFilter(e.currentTarget.value)} /></label>
			<form class="field" onSubmit=${go}>
				<label>From index <input inputmode="numeric" size="8" value=${jump}
				onInput=${(e) => setJump(e.currentTarget.value)} /></label> <button>Go</button></form>
			<button type="button" onClick=${app.log.older} disabled=${first <= (log.first || 1)}>Older</button>
			<button type="button" onClick=${app.log.follow} disabled=${!log.browsing}>Back to the end</button>
			<${CurlButton} app=${app} request=${() => requests.logs(first, 100)} />
		</div>
		<p class="log-note">Showing ${count(first)} to ${count(last)} of a log
			from ${count(log.first)} to ${count(log.last)}.
			${log.browsing ? ' Not following the end.' : ' Following the end.'} Rows above the rule are not committed yet.</p>
		<${LogTable} state=${state} times=${true} filter=${filter} /></div>`;
}
