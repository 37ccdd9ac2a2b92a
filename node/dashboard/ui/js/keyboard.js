// Keys and the palette: every key is also an entry of the palette that can be clicked.
import { html, useState } from './lib.js';
import { copy, curl, requests } from './api.js';
import { elections } from './history.js';
import { tabsOf } from './header.js';
import { savePref } from './store.js';
import { Dialog } from './panel.js';

const THEMES = { system: 'light', light: 'dark', dark: 'system' };

/** requestOf is what c copies: the request of the open tab. */
function requestOf(state) {
	const { tab, params } = state.route;
	if (tab === 'log') return requests.logs(state.log.entries[0]?.index ?? 0, 100);
	if (tab === 'keys' && params.key) return requests.read(params.key, false);
	return requests.status();
}

/** focusFilter goes to the search field of the tab, or to the key browser's. */
function focusFilter(app) {
	const now = document.querySelector('[data-filter]');
	if (now) {
		now.focus();
		return;
	}
	app.go('keys');
	requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector('[data-filter]')?.focus()));
}

/** moveRow moves the focus among the rows that can be opened. */
function moveRow(step) {
	const rows = [...document.querySelectorAll('[data-row]')].filter((r) => r.offsetParent !== null);
	const at = rows.indexOf(document.activeElement);
	rows[Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

/** commands lists all commands of the page: {keys, word, act}. */
export function commands(app, state) {
	const last = elections(state.events).pop();
	return [
		...tabsOf(state).map(([id, word]) => ({ keys: `g ${id[0]}`, word: `Go to ${word}`, act: () => app.go(id) })),
		{ keys: '/', word: 'Find a key or a row', act: () => focusFilter(app) },
		{ keys: 'j', word: 'Next row', act: () => moveRow(1) },
		{ keys: 'k', word: 'Previous row', act: () => moveRow(-1) },
		{ keys: '.', word: state.paused ? 'Resume' : 'Pause the page', act: app.togglePause },
		{
			keys: 'c',
			word: 'Copy this view’s request as curl',
			act: async () => app.toast((await copy(curl(app.source.base(), requestOf(state)))) ? 'Copied the curl command.'
				: 'The browser does not let the page copy.'),
		},
		{ keys: 'y', word: 'Copy a link to this view',
			act: async () => app.toast((await copy(location.href)) ? 'Copied the link.'
			: 'The browser does not let the page copy.') },
		{ keys: 't', word: `Theme: ${THEMES[state.prefs.theme]} next`,
			act: () => savePref(app.store, 'theme', THEMES[state.prefs.theme]) },
		{ keys: '?', word: 'Help', act: () => app.overlay('help') },
		{ keys: 'Esc', word: 'Close, or leave the scenario', act: () => app.escape() },
		...(last ? [{ keys: '', word: 'Replay the last election', act: () => { app.go('overview'); app.replay(last); } }]
			: []),
		{ keys: '', word: state.prefs.motion ? 'Switch animation off' : 'Switch animation on',
			act: () => savePref(app.store, 'motion', !state.prefs.motion) },
		{ keys: '', word: state.prefs.keys ? 'Switch single keys off' : 'Switch single keys on',
			act: () => savePref(app.store, 'keys', !state.prefs.keys) },
		...(state.model?.nodes ?? []).map((n) => ({ keys: '', word: `Open node ${n.id}`, act: () => app.open(n.id) })),
	];
}

function typing(target) {
	return target instanceof HTMLElement
		&& (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

/** scenarioKeys steps through a scenario with Space, Enter and the arrows. */
function scenarioKeys(app, event) {
	const onButton = event.target instanceof HTMLElement && event.target.closest('button, a, summary');
	const forward = event.key === 'ArrowRight' || ((event.key === ' ' || event.key === 'Enter') && !onButton);
	if (!forward && event.key !== 'ArrowLeft') return false;
	event.preventDefault();
	if (forward) app.scenarios.next();
	else app.scenarios.back();
	return true;
}

/** listenKeys binds the keys. Single keys are off inside fields and can be switched off (WCAG 2.1.4). */
export function listenKeys(app) {
	let prefix = -Infinity; // when g was pressed
	document.addEventListener('keydown', (event) => {
		const state = app.store.get();
		if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
			event.preventDefault();
			app.overlay(state.overlay === 'palette' ? '' : 'palette');
			return;
		}
		if (event.ctrlKey || event.metaKey || event.altKey || state.overlay
			|| document.querySelector('dialog[open]')) return;
		if (event.key === 'Escape') {
			app.escape();
			return;
		}
		if (typing(event.target) || !state.prefs.keys) return;
		if (state.scenario && state.route.tab === 'scenarios' && scenarioKeys(app, event)) return;
		const pressed = performance.now() - prefix < 1500 ? `g ${event.key}` : event.key;
		prefix = pressed === 'g' ? performance.now() : -Infinity;
		const command = commands(app, state).find((c) => c.keys === pressed);
		if (!command) return;
		event.preventDefault();
		command.act();
	});
}

/** Palette finds a command by a part of its name. */
export function Palette({ app, state }) {
	const [typed, setTyped] = useState('');
	const [at, setAt] = useState(0);
	const list = commands(app, state).filter((c) => c.word.toLowerCase().includes(typed.toLowerCase()));
	const choose = (command) => {
		app.overlay('');
		if (command) setTimeout(command.act, 0); // after the dialog has returned the focus
	};
	const onKey = (event) => {
		if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
			event.preventDefault();
			setAt((i) => Math.min(list.length - 1, Math.max(0, i + (event.key === 'ArrowDown' ? 1 : -1))));
		}
		if (event.key === 'Enter') {
			event.preventDefault();
			choose(list[at]);
		}
	};
	return html`<${Dialog} title="Commands" className="palette" onClose=${() => app.overlay('')}>
		<input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Command"
			aria-activedescendant=${list[at] ? `palette-${at}` : null} autofocus value=${typed}
			onInput=${(e) => { setTyped(e.currentTarget.value); setAt(0); }} onKeyDown=${onKey} placeholder="command" />
		<ul id="palette-list" role="listbox" aria-label="Commands">
			${list.map((c, i) => html`<li key=${c.word} id=${`palette-${i}`} role="option" aria-selected=${i === at}
			onClick=${() => choose(c)}><span>${c.word}</span>${c.keys ? html`<kbd>${c.keys}</kbd>` : null}</li>`)}</ul>
	<//>`;
}

/** Help lists the keys and the meaning of the shapes. */
export function Help({ app, state }) {
	const list = commands(app, state).filter((c) => c.keys);
	const pref = (name, word) =>
		html`<label class="check">
		<input type="checkbox" checked=${state.prefs[name]}
		onChange=${(e) => savePref(app.store, name, e.currentTarget.checked)} /> ${word}</label>`;
	return html`<${Dialog} title="Help" className="help" onClose=${() => app.overlay('')}>
		<dl class="help-keys">${list.map((c) => html`<div key=${c.word}><dt><kbd>${c.keys}</kbd></dt><dd>${c.word}</dd>
			</div>`)}<div><dt><kbd>Ctrl K</kbd></dt><dd>Commands</dd></div></dl>
		<p>${pref('keys', 'single keys')} ${pref('motion', 'animation')}</p>
		<p class="faded">A filled disc with a second ring is the leader; an open ring is a follower; a dashed ring is a
			candidate; a square is a learner; a crossed disc does not answer; a dotted outline is an old status. The number
			on a band is a term.</p>
	<//>`;
}
