// Server-sent events over fetch: the browser's own client for them hides the status code and sends no headers.

/** parse feeds chunks of text and calls onEvent({event, data, id}) for each complete message. */
export function createParser(onEvent) {
	let rest = '';
	let event = '';
	let data = [];
	let id = '';

	function line(text) {
		if (text === '') {
			if (data.length > 0) onEvent({ event: event || 'message', data: data.join('\n'), id });
			event = '';
			data = [];
			return;
		}
		if (text[0] === ':') return; // a comment keeps the connection open
		const colon = text.indexOf(':');
		const field = colon < 0 ? text : text.slice(0, colon);
		const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
		if (field === 'event') event = value;
		else if (field === 'data') data.push(value);
		else if (field === 'id') id = value;
	}

	return (chunk) => {
		rest += chunk;
		const lines = rest.split(/\r\n|\n|\r(?!$)/);
		rest = lines.pop();
		lines.forEach(line);
	};
}

/**
 * follow reads a stream until it ends, fails or stays silent for quietMs. onOpen is called for a response that is a
 * stream; a status other than 200 throws.
 */
export async function follow(url, { quietMs, signal, onEvent }) {
	const quiet = new AbortController();
	let timer = setTimeout(() => quiet.abort(), quietMs);
	const awake = () => {
		clearTimeout(timer);
		timer = setTimeout(() => quiet.abort(), quietMs);
	};
	try {
		const response = await fetch(url, {
			headers: { Accept: 'text/event-stream' },
			cache: 'no-store',
			credentials: 'omit',
			signal: AbortSignal.any([signal, quiet.signal]),
		});
		if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
		if (!(response.headers.get('Content-Type') ?? '').startsWith('text/event-stream')) throw new Error('not a stream');
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		const feed = createParser(onEvent);
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return;
			awake();
			feed(value);
		}
	} finally {
		clearTimeout(timer);
		quiet.abort();
	}
}
