// Loaded before the first paint, so that a chosen theme does not flash. Not a module: modules wait for the document.
(function applyStoredTheme() {
	try {
		const theme = localStorage.getItem('kontiki-theme');
		if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
		if (localStorage.getItem('kontiki-motion') === 'off') document.documentElement.dataset.motion = 'off';
	} catch {
		// Storage may be forbidden; then the system's theme applies.
	}
})();
