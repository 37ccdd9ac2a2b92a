#!/bin/sh
# Copies the libraries that the page is made of from npm into node/dashboard/third_party, and axe-core, which only
# the browser tests use, into hack/browser/testdata. The versions are pinned in package.json and their bytes in
# package-lock.json; the lock holds no address, so any registry mirror will do. `make ui-vendor` runs this; nothing
# else needs Node.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../.." && pwd)
page=$root/node/dashboard/third_party
test=$root/hack/browser/testdata

cd "$here"
npm ci --ignore-scripts --no-audit --no-fund

# strip SRC DEST copies a file without its pointer to a source map, which is not served.
strip() { sed '/^\/\/# sourceMappingURL=/d' "$1" >"$2"; }

mkdir -p "$page" "$test"
strip node_modules/preact/dist/preact.mjs "$page/preact.mjs"
strip node_modules/preact/hooks/dist/hooks.mjs "$page/hooks.mjs"
strip node_modules/htm/dist/htm.mjs "$page/htm.mjs"
cp node_modules/preact/LICENSE "$page/LICENSE.preact"
cp node_modules/htm/LICENSE "$page/LICENSE.htm"

# A browser resolves no bare module name, and an import map would be an inline script, which the policy forbids.
sed 's|from"preact"|from"./preact.mjs"|' "$page/hooks.mjs" >"$page/hooks.mjs.new"
mv "$page/hooks.mjs.new" "$page/hooks.mjs"
if grep -q 'from"[^.]' "$page/hooks.mjs"; then
	echo "vendor.sh: hooks.mjs still imports a bare module name; adapt the rewriting above" >&2
	exit 1
fi

cp node_modules/axe-core/axe.min.js "$test/axe.min.js"
cp node_modules/axe-core/LICENSE "$test/LICENSE.axe-core"

(cd "$page" && sha256sum -- *.mjs LICENSE.* >SHA256SUMS)
(cd "$test" && sha256sum -- axe.min.js LICENSE.axe-core >SHA256SUMS)
