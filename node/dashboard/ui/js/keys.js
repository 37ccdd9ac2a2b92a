// The key browser: look up a key by name, show it, and change it only if it has not changed.
import { html, useEffect, useState } from './lib.js';
import { ApiError, requests } from './api.js';
import { bytes, clock, count, millis, plain, Text } from './format.js';
import { Command } from './logview.js';
import { commandKey } from './keystore.js';
import { CurlButton, Dialog } from './panel.js';

const COLLAPSE = 65536; // characters of a value that are shown at first
const LISTED = 200;

function Value({ record }) {
	const [all, setAll] = useState(false);
	const long = record.text.length > COLLAPSE;
	const text = long && !all ? record.text.slice(0, COLLAPSE) : record.text;
	return html`<div class="key-value"><pre tabindex="0" aria-label="Value"><${Text} s=${text} lines=${true} /></pre>
		${record.base64 ? html`<p class="faded">The value is not text; this is its base64.</p>` : null}
		${long ? html`<p>${all ? 'All' : `The first ${bytes(COLLAPSE)}`} of ${count(record.text.length)} characters.
			<button type="button" class="quiet" onClick=${() => setAll(!all)}>${all ? 'Show less' : 'Show all'}</button>
				</p>` : null}</div>`;
}

/** Editor changes a value. revision is the one that was read; 0 creates a new key. */
function Editor({ app, keyName, draft, onDraft, onSaved, onCancel }) {
	const [conflict, setConflict] = useState(null);
	const [complaint, setComplaint] = useState('');
	const save = async (event) => {
		event.preventDefault();
		setComplaint('');
		const now = app.store.get().drafts[keyName]; // the last input may not be drawn yet
		try {
			await app.keys.save(keyName, now.text, now.type, now.revision);
			onSaved();
		} catch (error) {
			if (!(error instanceof ApiError) || error.status !== 412) {
				setComplaint(`${error.message}${error.code === 'outcome_unknown' ? ' It may or may not have been saved.'
					: ''}`);
				return;
			}
			const found = await app.keys.read(keyName).catch(() => null);
			setConflict({ theirs: found?.record ?? null, known: found !== null });
		}
	};
	const rebase = (text) => {
		onDraft({ ...draft, text, revision: conflict.theirs?.revision ?? 0 });
		setConflict(null);
	};
	return html`<form class="editor" onSubmit=${save}>
		<label class="field field-wide"><span>Value</span>
			<textarea name="value" rows="10" value=${draft.text}
			onInput=${(e) => onDraft({ ...draft, text: e.currentTarget.value })} spellcheck=${false}></textarea></label>
		<label class="field"><span>Content type</span>
			<input name="type" value=${draft.type} onInput=${(e) => onDraft({ ...draft, type: e.currentTarget.value })} />
			</label>
		${conflict ? html`<div class="conflict" role="alert"><p>
			<b>Another client has changed this key.</b> Nothing was written; your text is still here.</p>
			<div class="versions"><div><h4>Yours, from revision ${draft.revision || 'none'}</h4><pre tabindex="0">
				<${Text} s=${draft.text} lines=${true} max=${4000} /></pre></div>
				<div><h4>Theirs${conflict.theirs ? `, revision ${conflict.theirs.revision}` : ''}</h4>
					<pre tabindex="0">${conflict.theirs ? html`<${Text} s=${conflict.theirs.text} lines=${true} max=${4000} />`
					: conflict.known ? 'The key was deleted.' : 'It cannot be read at present.'}</pre></div></div>
			<button type="button" onClick=${() => rebase(draft.text)}>Keep mine, based on theirs</button>
			<button type="button" disabled=${!conflict.theirs}
				onClick=${() => rebase(conflict.theirs.text)}>Take theirs</button></div>` : null}
		<p class="complaint" role="alert">${complaint}</p>
		<button class="primary" disabled=${Boolean(conflict)}>Save</button> <button type="button"
			onClick=${onCancel}>Cancel</button>
		<span class="faded"> ${draft.revision ? `Written only if the key still has revision ${draft.revision}.`
			: 'Written only if the key does not exist.'}</span>
	</form>`;
}

/** Deletion requires the name to be typed; the button with the focus deletes nothing. */
function Deletion({ app, record, onDone, onClose }) {
	const [typed, setTyped] = useState('');
	const [complaint, setComplaint] = useState('');
	const remove = async (event) => {
		event.preventDefault();
		if (typed !== record.key) return;
		try {
			await app.keys.remove(record.key, record.revision);
			app.toast('Deleted.');
			onDone();
		} catch (error) {
			setComplaint(error.status === 412 ? 'The key was changed meanwhile; look at it again first.' : error.message);
		}
	};
	return html`<${Dialog} title="Delete this key?" onClose=${onClose}><form onSubmit=${remove}>
		<p>Type its name to delete <code><${Text} s=${record.key} max=${200} />
			</code> at revision ${count(record.revision)}.</p>
		<label class="field field-wide"><span>Name</span>
			<input name="confirm" value=${typed} onInput=${(e) => setTyped(e.currentTarget.value)} autocomplete="off" />
			</label>
		<p class="complaint" role="alert">${complaint}</p>
		<button type="button" class="primary" autofocus onClick=${onClose}>Keep it</button> <button class="danger"
			disabled=${typed !== record.key}>Delete</button>
	</form><//>`;
}

/** Past shows the changes of a key in the loaded part of the log. */
function Past({ state, name }) {
	const changes = state.log.entries.filter((e) => commandKey(e.command) === name).slice(-20).reverse();
	const from = state.log.entries[0]?.index;
	return html`<h3>In the log</h3><p class="faded">${changes.length === 0 ? 'No command for this key'
		: 'The last commands for this key'} in the loaded part of the log, from ${count(from)} on.</p>
		<ul class="past">${changes.map((e) => html`<li key=${e.index}><span class="num">${count(e.index)}</span> <span>
			<${Command} entry=${e} /></span> <time>${clock(e.at)}</time></li>`)}</ul>`;
}

function Meta({ found }) {
	const { record } = found;
	return html`<p class="key-meta"><span>revision <b>${count(record.revision)}</b>
		</span> <span>created at ${count(record.created)}</span>
		<span>version ${count(record.version)}</span> <span><${Text} s=${record.type || 'no content type'} max=${80} />
			</span> <span>${count(record.text.length)} characters</span>
		${found.stale ? html`<span class="text-warn">from node ${found.via}, may be old</span>`
			: html`<span class="faded">read in ${millis(found.ms)}</span>`}</p>`;
}

function Detail({ state, app, name }) {
	const [found, setFound] = useState(null);
	const [trouble, setTrouble] = useState('');
	const [deleting, setDeleting] = useState(false);
	const draft = state.drafts?.[name] ?? null;
	const setDraft = (d) => app.store.set(({ drafts }) => ({ drafts: { ...drafts, [name]: d } }));
	const read = async (wanted = () => true) => {
		setTrouble('');
		try {
			const answer = await app.keys.lookUp(name);
			if (wanted()) setFound(answer);
		} catch (error) {
			if (wanted()) setTrouble(error.message);
		}
	};
	useEffect(() => {
		let current = true;
		setFound(null);
		read(() => current);
		return () => { current = false; };
	}, [name]);
	const record = found?.record;
	const newest = [...state.log.entries].reverse().find((e) => commandKey(e.command) === name
		&& e.index <= state.log.commit && e.command.op !== 'get');
	const changed = record && newest && newest.index > record.revision;
	const saved = () => { setDraft(null); app.toast('Saved.'); read(); };
	const edit = () => setDraft({ text: record?.text ?? '', type: record?.type || 'text/plain; charset=utf-8',
		revision: record?.revision ?? 0 });
	return html`<article class="key-detail"><h3 class="key-name"><${Text} s=${name} max=${300} /></h3>
		<div class="key-tools"><button type="button" onClick=${() => read()}>Read again</button>
			${found && !draft && !record?.base64
				? html`<button type="button" onClick=${edit}>${record ? 'Edit' : 'Create it'}</button>` : null}
			${record ? html`<button type="button" onClick=${() => setDeleting(true)}>Delete…</button>` : null}
			<${CurlButton} app=${app} request=${() => requests.read(name, false)} /></div>
		<p class="key-changed text-warn">
			${changed ? `The log has a newer command for this key, at ${count(newest.index)}. Read again to see it.` : ''}</p>
		${trouble ? html`<p class="text-bad" role="alert">${trouble}</p>` : null}
		${!found && !trouble ? html`<p class="faded">Reading…</p>` : null}
		${found?.absent ? html`<p>This key does not exist${found.stale ? ` on node ${found.via}, which may be behind`
			: ''}.</p>` : null}
		${record ? html`<${Meta} found=${found} />` : null}
		${draft ? html`<${Editor} app=${app} keyName=${name} draft=${draft} onDraft=${setDraft} onSaved=${saved}
			onCancel=${() => setDraft(null)} />` : record ? html`<${Value} record=${record} />` : null}
		<${Past} state=${state} name=${name} />
		${deleting && record ? html`<${Deletion} app=${app} record=${record} onClose=${() => setDeleting(false)}
			onDone=${() => { setDeleting(false); read(); }} />` : null}
	</article>`;
}

/** KeysView lists the key names that the page has recorded and shows one of them. */
export function KeysView({ state, app }) {
	const [typed, setTyped] = useState('');
	const name = state.route.params.key ?? '';
	const needle = typed.toLowerCase();
	const matching = state.knownKeys.filter((k) => k.toLowerCase().includes(needle));
	const open = (event) => {
		event.preventDefault();
		if (typed !== '') app.go('keys', { key: typed });
	};
	return html`<div class="keys-view"><div class="key-list">
			<form class="look-up" onSubmit=${open}><label class="field field-wide"><span>Key</span>
				<input name="lookup" type="search" data-filter value=${typed}
				onInput=${(e) => setTyped(e.currentTarget.value)} autocomplete="off"
				placeholder="exact name, or part of a known one" /></label>
				<button class="primary">Look up</button></form>
			<p class="faded">${count(matching.length)} known ${matching.length === 1 ? 'name'
				: 'names'}: from look-ups, and from the log that the page has loaded. The store may have more.</p>
			<ul>${matching.slice(0, LISTED).map((k) =>
				html`<li key=${k}><a data-row
				href=${`#/keys?key=${encodeURIComponent(k.isWellFormed?.() === false ? k.toWellFormed() : k)}`}
				aria-current=${k === name ? 'true' : null} title=${plain(k.slice(0, 300))}><${Text} s=${k} max=${120} /></a>
				</li>`)}</ul>
			${matching.length > LISTED ? html`<p class="faded">Showing ${LISTED} of ${count(matching.length)}.</p>` : null}
		</div>
		${name ? html`<${Detail} key=${name} state=${state} app=${app} name=${name} />`
			: html`<div class="key-detail faded"><p>Choose a name, or type one and press Enter.</p></div>`}
	</div>`;
}
