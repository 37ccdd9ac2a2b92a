// Requests to a node, and the same requests as curl.
import { parseExact } from './format.js';

/** ApiError is an error response, or no response (status 0). */
export class ApiError extends Error {
	constructor(status, code, message, body) {
		super(message);
		this.status = status;
		this.code = code;
		this.body = body;
	}
}

/** keyPath returns the path of a key, or throws an error if no browser can send it. */
export function keyPath(key) {
	if (key === '') throw new ApiError(0, 'invalid', 'A key must have at least one character.');
	if (key === '.' || key === '..') {
		throw new ApiError(0, 'invalid', `A browser cannot put the key "${key}" into a URL; use the command box.`);
	}
	try {
		return `/api/v1/kv/${encodeURIComponent(key)}`;
	} catch {
		throw new ApiError(0, 'invalid', 'The key is not valid Unicode text.');
	}
}

/** whyNot describes why a fetch failed. */
export function whyNot(error, timeout) {
	if (error instanceof ApiError) return error.message;
	if (error?.name === 'AbortError' || error?.name === 'TimeoutError') return `no answer within ${timeout / 1000} s`;
	return 'no connection (refused, or not reachable from this browser)';
}

async function readAnswer(response) {
	const text = await response.text();
	let json;
	try {
		json = parseExact(text);
	} catch {
		json = undefined;
	}
	return { text, json };
}

/**
 * call sends one request to a node and returns {status, json, text, etag, ms}. It throws ApiError for every other
 * outcome. request = {method, path, headers, body}; base is '' for the page's own origin.
 */
export async function call(base, request, { timeout = 5000, signal } = {}) {
	if (request.body?.isWellFormed?.() === false) { // fetch would silently send U+FFFD instead
		throw new ApiError(0, 'invalid', 'The text contains half of a surrogate pair, which is not a character.');
	}
	const limit = AbortSignal.timeout(timeout);
	const start = performance.now();
	let response;
	let answer;
	try {
		response = await fetch(base + request.path, {
			method: request.method ?? 'GET',
			headers: request.headers,
			body: request.body,
			cache: 'no-store',
			credentials: 'omit',
			signal: signal ? AbortSignal.any([limit, signal]) : limit,
		});
		answer = await readAnswer(response);
	} catch (error) {
		throw new ApiError(0, 'unreachable', whyNot(error, timeout));
	}
	const ms = performance.now() - start;
	if (!response.ok) {
		const error = answer.json?.error;
		const message = typeof error?.message === 'string' ? error.message : `HTTP ${response.status}`;
		// An error without a code of the API comes from a proxy, which may have forwarded the request.
		const unsaid = (request.method ?? 'GET') === 'GET' ? 'unreachable' : 'outcome_unknown';
		const failure = new ApiError(response.status, String(error?.code ?? unsaid), message, error);
		failure.ms = ms;
		throw failure;
	}
	return { status: response.status, ...answer, etag: response.headers.get('ETag'), ms };
}

const JSON_HEADERS = { 'Content-Type': 'application/json' };

/** requests builds every request that a reader can make, so that each can be shown as curl. */
export const requests = {
	status: () => ({ path: '/api/status' }),
	logs: (from, limit) => ({ path: from ? `/api/logs?from=${from}&limit=${limit}` : `/api/logs?limit=${limit}` }),
	cluster: () => ({ path: '/api/v1/cluster' }),
	command: (command) => ({ method: 'POST', path: '/api/command', headers: JSON_HEADERS,
		body: JSON.stringify(command) }),
	rawCommand: (text) => ({ method: 'POST', path: '/api/command', headers: JSON_HEADERS, body: text }),
	read: (key, stale) => ({
		path: keyPath(key) + (stale ? '?consistency=stale' : ''),
		headers: { Accept: 'application/json' },
	}),
	write: (key, body, type, revision) => ({
		method: 'PUT',
		path: keyPath(key),
		headers: { 'Content-Type': type, ...(revision ? { 'If-Match': `"${revision}"` } : { 'If-None-Match': '*' }) },
		body,
	}),
	remove: (key, revision) => ({ method: 'DELETE', path: keyPath(key), headers: { 'If-Match': `"${revision}"` } }),
	transfer: (to) => ({
		method: 'POST', path: '/api/v1/leader/transfer', headers: JSON_HEADERS, body: JSON.stringify({ to }),
	}),
	chaos: (verb, body) => ({
		method: 'POST', path: `/api/v1/chaos/${verb}`, headers: JSON_HEADERS, body: JSON.stringify(body),
	}),
};

function quote(text) {
	return `'${text.replaceAll("'", "'\\''")}'`;
}

/** curl returns a request as a command line of curl. */
export function curl(base, request) {
	const parts = ['curl', '-s'];
	if (request.method && request.method !== 'GET') parts.push('-X', request.method);
	for (const [name, value] of Object.entries(request.headers ?? {})) parts.push('-H', quote(`${name}: ${value}`));
	if (request.body !== undefined) parts.push('--data-binary', quote(request.body));
	parts.push(quote((base || location.origin) + request.path));
	return parts.join(' ');
}

/** copy puts text on the clipboard; if the page may not, it falls back to a selection. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		const area = document.createElement('textarea');
		area.value = text;
		area.className = 'offscreen';
		document.body.append(area);
		area.select();
		const done = document.execCommand('copy');
		area.remove();
		return done;
	}
}
