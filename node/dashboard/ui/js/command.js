// The command box: one command to POST /api/command, its response, and the request as curl.
import { html, useState } from './lib.js';
import { ApiError, call, requests } from './api.js';
import { jsonText, millis, Text } from './format.js';
import { remember } from './keystore.js';
import { CurlButton } from './panel.js';

const OPS = ['set', 'get', 'delete', 'incr', 'cas'];
const KEPT = 5;

/** literal parses the input as JSON if it is valid, else takes it as text, and returns which. */
export function literal(typed) {
	try {
		return { value: JSON.parse(typed), source: typed.trim(), as: kind(JSON.parse(typed)) };
	} catch {
		return { value: typed, source: JSON.stringify(typed), as: 'text' };
	}
}

function kind(value) {
	if (value === null) return 'null';
	if (Array.isArray(value)) return 'JSON list';
	return { string: 'text', number: 'number', boolean: 'true/false', object: 'JSON object' }[typeof value];
}

/** bodyOf returns the form as JSON; values stay as typed, so that no digit of a long number is lost. */
export function bodyOf(form) {
	const key = `"op":${JSON.stringify(form.op)},"key":${JSON.stringify(form.key)}`;
	switch (form.op) {
		case 'set': return `{${key},"value":${literal(form.value).source}}`;
		case 'incr': return `{${key},"by":${literal(form.by || '1').source}}`;
		case 'cas': return `{${key},"expected":${literal(form.expected
			|| 'null').source},"value":${literal(form.value).source}}`;
		default: return `{${key}}`;
	}
}

function wrong(form, raw) {
	if (form.raw) {
		try {
			JSON.parse(raw);
			return '';
		} catch (error) {
			return `This is not JSON: ${error.message}`;
		}
	}
	return form.key === '' ? 'A command needs a key.' : '';
}

/** run sends one command and keeps its response, newest first. */
export async function run(app, body) {
	const request = requests.rawCommand(body);
	const start = performance.now();
	const answer = { id: `${start}`, body, request, done: false };
	const show = (patch) => app.store.set(({ answers }) => ({
		answers: [{ ...answer, ...patch }, ...answers.filter((a) => a.id !== answer.id)].slice(0, KEPT),
	}));
	show({});
	try {
		const { json, ms } = await call(app.source.base(), request, { timeout: 10000 });
		show({ done: true, ok: true, ms, index: json?.index, term: json?.term, result: json?.result });
		const sent = JSON.parse(body);
		if (typeof sent.key === 'string') remember(app.store, [sent.key]);
	} catch (error) {
		const failure = error instanceof ApiError ? error : new ApiError(0, 'page', String(error.message));
		show({ done: true, ok: false, ms: performance.now() - start, code: failure.code, message: failure.message });
	}
}

function Answer({ answer, app }) {
	const sent = html`<code class="sent"><${Text} s=${answer.body} max=${120} /></code>`;
	if (!answer.done) return html`<li class="answer">${sent} <span class="faded">sent, waiting</span></li>`;
	if (answer.ok) {
		return html`<li class="answer answer-ok">${sent}<span class="answer-words">→ <b>
			<${Text} s=${jsonText(answer.result)} max=${400} /></b>
			<span class="faded"> index ${answer.index ?? '?'}, term ${answer.term ?? '?'}, ${millis(answer.ms)}</span>
				</span></li>`;
	}
	const unknown = answer.code === 'outcome_unknown' || answer.code === 'unreachable';
	return html`<li class="answer answer-bad">${sent}<span class="answer-words">→ <b>
		${answer.code}</b>: <${Text} s=${answer.message} max=${300} />
		${unknown ? html` The outcome is unknown: the command may or may not take effect. Read the key before repeating an
			incr.` : null}
		<span class="faded"> ${millis(answer.ms)}</span>
		${answer.code === 'no_leader' || unknown
			? html` <button type="button" class="quiet" onClick=${() => run(app, answer.body)}>Repeat</button>` : null}
			</span></li>`;
}

function Field({ label, value, onInput, hint = '', wide = false, name }) {
	return html`<label class=${`field${wide ? ' field-wide' : ''}`}>
		<span>${label}${hint ? html` <em>(${hint})</em>` : null}</span>
		<input name=${name} value=${value} onInput=${(e) => onInput(e.currentTarget.value)} autocomplete="off"
			spellcheck=${false} /></label>`;
}

/** CommandBox is the form. It keeps the input itself, so that the stream does not redraw it. */
export function CommandBox({ state, app }) {
	const [form, setForm] = useState({ op: 'set', key: 'greeting', value: 'hello', by: '1', expected: 'null',
		raw: false });
	const [raw, setRaw] = useState('');
	const [complaint, setComplaint] = useState('');
	const put = (name) => (value) => setForm((f) => ({ ...f, [name]: value }));
	const body = form.raw ? raw : bodyOf(form);
	const submit = (event) => {
		event.preventDefault();
		const problem = wrong(form, raw);
		setComplaint(problem);
		if (problem === '') run(app, body);
	};
	const toggleRaw = () => {
		if (!form.raw) setRaw(bodyOf(form));
		setForm((f) => ({ ...f, raw: !f.raw }));
		setComplaint('');
	};
	const valued = form.op === 'set' || form.op === 'cas';
	return html`<form class="command-box" onSubmit=${submit}>
		<div class="command-fields">
			${form.raw ? html`<label class="field field-wide"><span>Command as JSON</span>
					<textarea rows="3" name="raw" value=${raw} onInput=${(e) => setRaw(e.currentTarget.value)}
						spellcheck=${false}></textarea></label>` : html`
				<label class="field field-op"><span>Op</span>
					<select name="op" value=${form.op} onChange=${(e) => put('op')(e.currentTarget.value)}>
					${OPS.map((op) => html`<option key=${op} value=${op}>${op}</option>`)}</select></label>
				<${Field} label="Key" name="key" value=${form.key} onInput=${put('key')} wide=${!valued} />
				${form.op === 'cas' ? html`<${Field} label="Expected" name="expected" hint=${literal(form.expected).as}
					value=${form.expected} onInput=${put('expected')} />` : null}
				${valued ? html`<${Field} label="Value" name="value" hint=${literal(form.value).as} value=${form.value}
					onInput=${put('value')} wide=${form.op === 'set'} />` : null}
				${form.op === 'incr' ? html`<${Field} label="By" name="by" value=${form.by} onInput=${put('by')} />` : null}`}
			<button class="primary">Run</button>
		</div>
		<div class="command-tools">
			<button type="button" class="quiet" aria-pressed=${form.raw} onClick=${toggleRaw}>JSON</button>
			<${CurlButton} app=${app} request=${() => requests.rawCommand(body)} label="copy as curl" />
			<span class="complaint" role="alert">${complaint}</span>
		</div>
		<ol class="answers" aria-label="Answers, newest first" aria-live="polite">
			${state.answers.map((a) => html`<${Answer} key=${a.id} answer=${a} app=${app} />`)}</ol>
	</form>`;
}
