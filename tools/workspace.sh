# Sourced by the executables beside it: goes to the root of the workspace and gets its npm packages when they are missing or out of
# date. With them comes Node 24, as node_modules/.bin/node: the Node that came with the machine only has to run npm.

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

for program in node npm; do
  command -v "$program" >/dev/null || { echo "$program is missing: install Node.js 20 or newer with npm" >&2; exit 1; }
done

# A copy of the lock file tells what is installed: file times say nothing in a copied tree, or after a pull or a restored cache. It is
# written last, so that an installation that was interrupted is done again.
# The lock keeps two of these commands that were started together from installing over each other.
install_npm_packages() {
  local installed=node_modules/.d7y-lock
  [ ! -x node_modules/.bin/node ] || ! cmp -s package-lock.json "$installed" || return 0
  echo "Installing npm packages (npm ci)" >&2
  rm -f "$installed"
  npm ci --no-progress >&2
  cp package-lock.json "$installed.$$"
  mv "$installed.$$" "$installed"
}
if command -v flock >/dev/null; then
  exec {lock}>"${TMPDIR:-/tmp}/d7y-npm-$(pwd | cksum | cut -d' ' -f1).lock"
  flock "$lock"
  install_npm_packages
  exec {lock}>&-
else
  install_npm_packages
fi

export PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"
