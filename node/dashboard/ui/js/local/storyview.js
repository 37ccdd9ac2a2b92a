// The Stories tab: the scenarios to play, the one that is played, and the switches by hand.
import { html } from '../lib.js';
import { count, names } from '../format.js';
import { scripts } from './scripts.js';
import { createStories } from './stories.js';
import { Panel } from '../panel.js';
import { ChaosButtons } from '../drawer.js';
import { ClusterPanel } from '../overview.js';
import { Glyph, lookOf, Term } from '../shapes.js';
import { LogTable } from '../logview.js';

function Cards({ state, app }) {
	const nodes = state.model.nodes.length;
	return html`<div class="cards">
		${scripts.map((s) => html`<article key=${s.id} class="card"><h3>${s.title}</h3><p>${s.about}</p>
		${nodes < s.least ? html`<p class="text-warn">Needs at least ${s.least} nodes; here are ${nodes}.</p>` : null}
		<div class="card-tools">${s.plays.map((p, i) =>
			html`<button key=${p.variant} type="button" class=${i === 0 ? 'primary' : ''} disabled=${nodes < s.least}
			onClick=${() => app.stories.start(s.id, p.variant)} aria-label=${`${p.word}: ${s.title}`}>${p.word}</button>`)}
				</div></article>`)}</div>`;
}

function Progress({ story }) {
	return html`<ol class="story-steps">
		${story.steps.map((s, i) =>
		html`<li key=${i} class=${`story-step step-${s.status}${i === story.at ? ' step-here' : ''}`}
		aria-current=${i === story.at ? 'step' : null}>${s.title}</li>`)}</ol>`;
}

const nextWord = (story, step) => {
	if (step.status === 'failed') return 'Try again';
	if (step.status === 'running' && story.at === story.reached) return 'Waiting';
	return story.at === story.steps.length - 1 ? 'Finish' : 'Next';
};

function Playing({ state, app }) {
	const { story } = state;
	const step = story.steps[story.at];
	const waiting = step.status === 'running' && story.at === story.reached;
	return html`<div class="story"><p class="story-count">${story.title}, step ${story.at + 1} of ${story.steps.length}
		</p>
		<div class="story-text" aria-live="polite"><h3>${step.title}</h3><p>${step.say}</p>
			<p class=${`story-result result-${step.status}`}>${step.status === 'running' ? 'Waiting for it to happen…'
				: step.result}</p></div>
		<div class="story-tools">
			<button type="button" onClick=${app.stories.back} disabled=${story.at === 0}>Back</button>
			<button type="button" class="primary story-next" onClick=${app.stories.next} disabled=${waiting}>
				${nextWord(story, step)}</button>
			<label class="check"><input type="checkbox" checked=${story.auto}
				onChange=${(e) => app.stories.setAuto(e.currentTarget.checked)} /> go on by itself</label>
			<button type="button" class="quiet" onClick=${app.stories.leave}>Leave and put in order</button>
		</div>
		<p class="faded">Space, Enter or → goes on, ← goes back, Esc leaves.</p>
		<${Progress} story=${story} /></div>`;
}

/** Views shows every node's own view side by side: in a partition they differ. */
function Views({ state }) {
	const { model, views, chaos } = state;
	const sideOf = (id) => {
		const i = (chaos?.partition ?? []).findIndex((g) => g.includes(id));
		return i < 0 ? '–' : String.fromCharCode(65 + i);
	};
	return html`<${Panel} name="How each node sees itself" className="views-panel">
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
					<td>${v ? (v.leader ? `node ${v.leader}` : 'nobody') : '?'}</td>
				<td class="num">${count(v?.commit ?? NaN)}</td><td class="num">${count(v?.last ?? NaN)}</td></tr>`;
		})}</tbody></table></div><//>`;
}

function Bench({ state, app }) {
	const ids = state.model.nodes.map((n) => n.id);
	const size = Math.floor((ids.length - 1) / 2);
	const groups = [ids.slice(0, size), ids.slice(size)];
	const cut = state.chaos?.partition;
	const act = (word, deed) => deed().then(() => app.toast(`${word}: done.`),
		(e) => app.toast(`${word} failed: ${e.message}`));
	return html`<${Panel} name="By hand" className="bench-panel">
		<p class="faded">These switches exist only in raftnode local.</p>
		<ul class="bench">${state.model.nodes.map((n) =>
			html`<li key=${n.id}><span>Node ${n.id} <b>${state.chaos?.nodes[n.id] ?? ''}</b></span>
			<${ChaosButtons} node=${n} state=${state} app=${app} /></li>`)}</ul>
		<div class="chaos-buttons">
			<button type="button" disabled=${size === 0 || Boolean(cut)}
				onClick=${() => act('The cut', () => app.chaos.partition(groups))}>Cut ${names(groups[0])} off</button>
			<button type="button" disabled=${!cut} onClick=${() => act('The mending', app.chaos.heal)}>Heal</button></div>
				<//>`;
}

/** StoriesView is the tab; it exists only where the switches do. */
export function StoriesView({ state, app }) {
	const playing = state.story;
	return html`<div class="stories-view">
		<${Panel} name="Stories" className="story-panel">${playing ? html`<${Playing} state=${state} app=${app} />`
			: html`<${Cards} state=${state} app=${app} />`}<//>
		<${ClusterPanel} state=${state} app=${app} />
		${playing || state.chaos?.partition ? html`<${Views} state=${state} />`
			: html`<${Bench} state=${state} app=${app} />`}
		<${Panel} name="Log" className="log-panel"><${LogTable} state=${state} limit=${14} /><//>
	</div>`;
}

/** install gives the page its stories. The module is loaded only where there are switches: in raftnode local. */
export function install(app) {
	app.stories = createStories(app);
	app.StoriesView = StoriesView;
}
