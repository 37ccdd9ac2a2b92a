// The Scenarios tab: the list of scenarios, the running one, and the buttons for fault injection.
import { html } from '../lib.js';
import { count, names } from '../format.js';
import { scripts } from './scripts.js';
import { createScenarios } from './scenarios.js';
import { Panel } from '../panel.js';
import { ChaosButtons } from '../drawer.js';
import { ClusterPanel } from '../overview.js';
import { Glyph, lookOf, Term } from '../shapes.js';
import { LogTable } from '../logview.js';

function Cards({ state, app }) {
	const nodes = state.model.nodes.length;
	return html`<div class="cards">
		${scripts.map((s) => html`<article key=${s.id} class="card"><h3>${s.title}</h3><p>${s.about}</p>
		${nodes < s.least ? html`<p class="text-warn">Needs at least ${s.least} nodes; this cluster has ${nodes}.</p>` : null}
		<div class="card-tools">${s.plays.map((p, i) =>
			html`<button key=${p.variant} type="button" class=${i === 0 ? 'primary' : ''} disabled=${nodes < s.least}
			onClick=${() => app.scenarios.start(s.id, p.variant)} aria-label=${`${p.word}: ${s.title}`}>${p.word}</button>`)}
				</div></article>`)}</div>`;
}

function Progress({ scenario }) {
	return html`<ol class="scenario-steps">
		${scenario.steps.map((s, i) =>
		html`<li key=${i} class=${`scenario-step step-${s.status}${i === scenario.at ? ' step-here' : ''}`}
		aria-current=${i === scenario.at ? 'step' : null}>${s.title}</li>`)}</ol>`;
}

const nextWord = (scenario, step) => {
	if (step.status === 'failed') return 'Try again';
	if (step.status === 'running' && scenario.at === scenario.reached) return 'Waiting';
	return scenario.at === scenario.steps.length - 1 ? 'Finish' : 'Next';
};

function Playing({ state, app }) {
	const { scenario } = state;
	const step = scenario.steps[scenario.at];
	const waiting = step.status === 'running' && scenario.at === scenario.reached;
	return html`<div class="scenario">
		<p class="scenario-count">${scenario.title}, step ${scenario.at + 1} of ${scenario.steps.length}</p>
		<div class="scenario-text" aria-live="polite"><h3>${step.title}</h3><p>${step.text}</p>
			<p class=${`scenario-result result-${step.status}`}>${step.status === 'running' ? 'Waiting…'
				: step.result}</p></div>
		<div class="scenario-tools">
			<button type="button" onClick=${app.scenarios.back} disabled=${scenario.at === 0}>Back</button>
			<button type="button" class="primary scenario-next" onClick=${app.scenarios.next} disabled=${waiting}>
				${nextWord(scenario, step)}</button>
			<label class="check"><input type="checkbox" checked=${scenario.auto}
				onChange=${(e) => app.scenarios.setAuto(e.currentTarget.checked)} /> continue automatically</label>
			<button type="button" class="quiet" onClick=${app.scenarios.leave}>Leave and restore the cluster</button>
		</div>
		<p class="faded">Space, Enter or →: next. ←: back. Esc: leave.</p>
		<${Progress} scenario=${scenario} /></div>`;
}

/** Views shows each node's own view side by side: in a partition they differ. */
function Views({ state }) {
	const { model, views, chaos } = state;
	const sideOf = (id) => {
		const i = (chaos?.partition ?? []).findIndex((g) => g.includes(id));
		return i < 0 ? '–' : String.fromCharCode(65 + i);
	};
	return html`<${Panel} name="Node views" className="views-panel">
		<div class="table-scroll" tabindex="0" role="region" aria-label="Views of the nodes"><table class="small-table">
		<thead><tr><th scope="col">Node</th><th scope="col">Side</th>
		<th scope="col">Role</th><th scope="col" class="num">Term</th><th scope="col">Its leader</th>
			<th scope="col" class="num">Commit</th><th scope="col" class="num">Log</th></tr></thead>
		<tbody>${model.nodes.map((n) => {
			const v = views[n.id];
			const look = lookOf(v ? { ...n, unreachable: false, role: v.role, old: false } : n, v, chaos?.nodes[n.id]);
			return html`<tr key=${n.id} class=${`side-row side-row-${sideOf(n.id)}`}><th scope="row">${n.id}</th>
				<td>${sideOf(n.id)}</td><td class="role">
				<${Glyph} look=${look} level=${look.kind === 'gone' ? 'bad' : 'ok'} /><span>${look.word}</span></td>
				<td class="num"><${Term} term=${v?.term ?? n.term} /></td>
					<td>${v ? (v.leader ? `node ${v.leader}` : 'none') : '?'}</td>
				<td class="num">${count(v?.commit ?? NaN)}</td><td class="num">${count(v?.last ?? NaN)}</td></tr>`;
		})}</tbody></table></div><//>`;
}

function Bench({ state, app }) {
	const ids = state.model.nodes.map((n) => n.id);
	const size = Math.floor((ids.length - 1) / 2);
	const groups = [ids.slice(0, size), ids.slice(size)];
	const cut = state.chaos?.partition;
	const act = (word, change) => change().then(() => app.toast(`${word}: done.`),
		(e) => app.toast(`${word} failed: ${e.message}`));
	return html`<${Panel} name="Fault injection" className="bench-panel">
		<p class="faded">Only raftnode local has these buttons.</p>
		<ul class="bench">${state.model.nodes.map((n) =>
			html`<li key=${n.id}><span>Node ${n.id} <b>${state.chaos?.nodes[n.id] ?? ''}</b></span>
			<${ChaosButtons} node=${n} state=${state} app=${app} /></li>`)}</ul>
		<div class="chaos-buttons">
			<button type="button" disabled=${size === 0 || Boolean(cut)}
				onClick=${() => act('Partition', () => app.chaos.partition(groups))}>Partition ${names(groups[0])}</button>
			<button type="button" disabled=${!cut} onClick=${() => act('Heal', app.chaos.heal)}>Heal</button></div>
				<//>`;
}

/** ScenariosView is the tab; only raftnode local has it. */
export function ScenariosView({ state, app }) {
	const playing = state.scenario;
	return html`<div class="scenarios-view">
		<${Panel} name="Scenarios" className="scenario-panel">${playing ? html`<${Playing} state=${state} app=${app} />`
			: html`<${Cards} state=${state} app=${app} />`}<//>
		<${ClusterPanel} state=${state} app=${app} />
		${playing || state.chaos?.partition ? html`<${Views} state=${state} />`
			: html`<${Bench} state=${state} app=${app} />`}
		<${Panel} name="Log" className="log-panel"><${LogTable} state=${state} limit=${14} /><//>
	</div>`;
}

/** install adds the scenarios to the page. Only the page of raftnode local loads this module. */
export function install(app) {
	app.scenarios = createScenarios(app);
	app.ScenariosView = ScenariosView;
}
