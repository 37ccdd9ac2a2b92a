// Panels and their parts: an error stays inside its panel, and command lines can be copied.
import { Component, html, useEffect, useRef } from './lib.js';
import { copy, curl } from './api.js';

/** Boundary confines an error to one panel. */
class Boundary extends Component {
	constructor(props) {
		super(props);
		this.state = { fault: null };
	}

	componentDidCatch(fault) {
		this.setState({ fault });
		console.warn(`the panel "${this.props.name}" failed`, fault);
	}

	render() {
		const { fault } = this.state;
		if (!fault) return this.props.children;
		const details = `${this.props.name}: ${fault.message}\n${fault.stack ?? ''}`;
		return html`<div class="fault"><p>
			<b>This panel failed</b>; the others go on. The error is in the page, not in the cluster.</p>
			<button type="button" onClick=${() => copy(details)}>Copy details</button>
			<button type="button" onClick=${() => this.setState({ fault: null })}>Try again</button></div>`;
	}
}

/** Panel is a titled part of the page. tools are to the right of the title. */
export function Panel({ name, className = '', tools = null, children }) {
	const heading = `panel-${name.toLowerCase().replaceAll(' ', '-')}`;
	return html`<section class=${`panel ${className}`} aria-labelledby=${heading}>
		<div class="panel-head"><h2 id=${heading}>${name}</h2>${tools ? html`<div class="panel-tools">${tools}</div>`
			: null}</div>
		<${Boundary} name=${name}>${children}<//>
	</section>`;
}

/** CurlButton copies the request that the page itself makes. */
export function CurlButton({ app, request, label = 'curl' }) {
	const act = async () => {
		const line = curl(app.source.base(), request());
		app.toast((await copy(line)) ? `Copied: ${line.length > 90 ? `${line.slice(0, 90)}…` : line}`
			: 'The browser does not allow the page to copy.');
	};
	return html`<button type="button" class="quiet curl" title="Copy this request as a curl command" onClick=${act}>
		${label}</button>`;
}

/** Dialog is a native modal dialog: it keeps the focus, and Esc closes it. */
export function Dialog({ title, className = '', onClose, children }) {
	const ref = useRef(null);
	useEffect(() => {
		const dialog = ref.current;
		if (!dialog.open) dialog.showModal();
		return () => dialog.close();
	}, []);
	const outside = (event) => {
		if (event.target === ref.current) onClose();
	};
	// Esc removes the dialog like its button does. Closing it natively would fire the event only later, when
	// another dialog may be open already.
	const escape = (event) => {
		event.preventDefault();
		onClose();
	};
	return html`<dialog ref=${ref} class=${className} aria-label=${title} onCancel=${escape} onClick=${outside}>
		<div class="dialog-body"><div class="dialog-head"><h2>${title}</h2>
			<button type="button" class="quiet close" aria-label="Close" onClick=${onClose}>✕</button></div>${children}</div>
	</dialog>`;
}

/** Code is a command line with a button that copies it. */
export function Code({ app, line }) {
	return html`<div class="code"><code>${line}</code>
		<button type="button" class="quiet"
			onClick=${async () => app.toast((await copy(line)) ? 'Copied.'
			: 'The browser does not allow the page to copy.')}>copy</button></div>`;
}
