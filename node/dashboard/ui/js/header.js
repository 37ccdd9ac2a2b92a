// The header: the verdict, its age, and the node that it comes from.
import { html, useEffect, useState } from './lib.js';
import { names, span, Text } from './format.js';
import { Logo, Mark } from './shapes.js';
import { verdict } from './verdict.js';
import { savePref } from './store.js';
import { Code } from './panel.js';

/** useClock redraws its component every period, but not while the page is hidden. */
function useClock(period) {
	const [, tick] = useState(0);
	useEffect(() => {
		const timer = setInterval(() => document.hidden || tick((n) => n + 1), period);
		return () => clearInterval(timer);
	}, [period]);
	return performance.now();
}

/** Age shows the age of the status. It redraws by itself, so that the rest of the page need not. */
function Age({ state, app }) {
	const now = useClock(500);
	const { paused, link, model } = state;
	const age = model ? now - state.receivedAt : NaN;
	let words;
	let level = 'ok';
	if (paused) {
		words = `paused ${span(now - paused.at)}`;
		level = 'warn';
	} else if (link.mode === 'lost' || age > 3000) {
		words = model ? `last seen ${span(age)} ago` : 'no answer yet';
		level = 'bad';
	} else {
		words = model ? `${link.mode === 'poll' ? 'polling' : 'live'} ${span(age)}` : 'connecting';
	}
	return html`<div class="age"><span class=${`pulse level-${level}`} aria-hidden="true"></span>
		<span class="age-words">${words}</span>
		<button type="button" class="quiet icon" aria-pressed=${Boolean(paused)} onClick=${app.togglePause}
			title="Pause the page (.)">${paused ? 'resume' : 'pause'}</button></div>`;
}

const TABS = [['overview', 'Overview'], ['log', 'Log'], ['keys', 'Keys'], ['scenarios', 'Scenarios']];

/** tabsOf lists the tabs that this node supports. */
export function tabsOf(state) {
	return TABS.filter(([id]) => id !== 'scenarios' || state.capabilities.includes('chaos'));
}

function Tabs({ state, app }) {
	return html`<nav class="tabs" aria-label="Views">${tabsOf(state).map(([id, word]) => html`
		<a key=${id} href=${`#/${id}`} class="tab" aria-current=${state.route.tab === id ? 'page' : null}>${word}</a>`)}
		<button type="button" class="tab tab-more" onClick=${() => app.overlay('palette')}>More</button></nav>`;
}

function Tools({ state, app }) {
	const next = { system: 'light', light: 'dark', dark: 'system' }[state.prefs.theme];
	const via = state.link.via ? `via node ${state.link.via}` : '';
	return html`<div class="tools"><span class="via">${via}</span>
		<button type="button" class="quiet" onClick=${() => app.overlay('palette')}
			title="All commands of the page">Commands <kbd>Ctrl K</kbd></button>
		<button type="button" class="quiet" onClick=${() => savePref(app.store, 'theme', next)}
			title="Switch the theme (t)">Theme: ${state.prefs.theme}</button>
		<button type="button" class="quiet" onClick=${() => app.overlay('help')} aria-label="Help"
			title="Help (?)">?</button></div>`;
}

/** Bar reports that the source has changed, or that no member answers; the page stays as it is. */
function Bar({ state, app }) {
	const now = useClock(1000);
	const { link, model } = state;
	if (link.mode === 'lost') {
		const wait = Math.max(0, link.retryAt - now);
		return html`<div class="bar bar-bad"><p><b>No member answers.</b> ${model ? 'The page below shows the last status. '
			: ''}
			Trying again ${wait > 500 ? `in ${Math.ceil(wait / 1000)} s` : 'now'}.
			${' '}<button type="button" onClick=${app.source.retryNow}>Try now</button></p>
			<ul class="attempts">${link.attempts.map((a) =>
				html`<li key=${a.url}><code>${a.url}</code> ${a.node ? `(node ${a.node}) ` : ''}${a.error}</li>`)}</ul>
			<p>A port-forward stays with the one pod that it chose: if this page came through one, start it again. Locally,
				start the cluster:</p>
			<${Code} app=${app} line="make run" /></div>`;
	}
	if (link.base !== '') {
		return html`<div class="bar bar-warn">
			<p>${link.moved === 'chosen' ? 'For the scenario, the page is connected'
				: 'This page’s own node does not answer. Now connected'} to
			<b> node ${link.via || '?'}</b>. <a href=${`${link.base}/${location.hash}`}>Open node ${link.via
				|| '?'}’s page here</a></p></div>`;
	}
	const version = model?.self?.version ?? '';
	if (version && state.firstVersion && version !== state.firstVersion) {
		return html`<div class="bar"><p>This node now runs ${version}; the page is from ${state.firstVersion}.
			<button type="button" onClick=${() => location.reload()}>Reload for ${version}</button></p></div>`;
	}
	const newcomers = model ? app.source.newcomers(model) : [];
	if (newcomers.length) {
		return html`<div class="bar"><p>${names(newcomers.map((n) => n.id))} joined after this page was loaded.
			<button type="button" onClick=${() => location.reload()}>Reload</button> so that it can use them if its own
				node fails.</p></div>`;
	}
	return null;
}

/** Header is the top of the page: the verdict, the tabs and the tools. */
export function Header({ state, app }) {
	const judged = verdict(state);
	const cluster = state.model?.clusterID ?? '';
	const main = (event) => {
		event.preventDefault();
		document.getElementById('main').focus();
	};
	return html`<a class="skip" href="#main" onClick=${main}>Skip to the content</a>
		<header class="top">
			<div class="brand"><${Logo} /><h1>Kontiki</h1>
				${cluster ? html`<span class="cluster" title=${`cluster ${cluster}`}><${Text} s=${cluster} max=${12} />
					</span>` : null}</div>
			<p class=${`verdict verdict-${judged.level}`}><${Mark} level=${judged.level} size="large" />
				<span><strong>${judged.word}</strong> ${judged.rest.join(' ')}</span></p>
			<${Age} state=${state} app=${app} />
		</header>
		<div class="second"><${Tabs} state=${state} app=${app} /><${Tools} state=${state} app=${app} /></div>
		<${Bar} state=${state} app=${app} />`;
}

/** Announcer announces a change of leader or quorum to screen readers, at most once in 5 s. */
export function Announcer({ state }) {
	return html`<div class="offscreen" role="status" aria-live="polite">${state.announcement}</div>`;
}
