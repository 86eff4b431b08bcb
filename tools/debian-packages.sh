# Sourced by tools/test: the programs that the end-to-end tests run, and the Debian 12 packages they come from.

install_debian_packages() {
  local wanted='
    docker-registry:docker-registry htpasswd:apache2-utils openssl:openssl curl:curl skopeo:skopeo containerd:containerd
    ctr:containerd runc:runc dockerd:docker.io docker:docker.io nft:nftables tc:iproute2 podman:podman crun:crun ip:iproute2 nginx:nginx-light setpriv:util-linux mount:mount
    redis-server:redis-server /usr/lib/postgresql/15/bin/postgres:postgresql-15
    /etc/ssl/certs/ca-certificates.crt:ca-certificates'
  local pair program package
  local -A missing=()
  for pair in $wanted; do
    program=${pair%%:*} package=${pair##*:}
    case $program in
      /*) [ -e "$program" ] || missing[$package]=$program ;;
      *) command -v "$program" >/dev/null || missing[$package]=$program ;;
    esac
  done
  if [ ${#missing[@]} -eq 0 ]; then
    echo "all programs that the tests run are installed"
    return 0
  fi
  local packages=("${!missing[@]}")
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "these Debian packages are missing and cannot be installed from here: ${packages[*]}" >&2
    echo "as root: apt-get install --no-install-recommends ${packages[*]}" >&2
    return 1
  fi
  echo "installing ${packages[*]}"
  # Without a policy Debian would start a registry, a web server and a container runtime on their default ports.
  local policy=/usr/sbin/policy-rc.d saved=
  if [ -e "$policy" ]; then
    saved=$(mktemp "$policy.XXXXXX")
    cp -p "$policy" "$saved"
  fi
  local code=0
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"
  } || code=$?
  if [ -n "$saved" ]; then mv "$saved" "$policy"; else rm -f "$policy"; fi
  if [ "$code" -ne 0 ]; then
    echo "apt-get could not install: ${packages[*]}" >&2
    return "$code"
  fi
  for pair in $wanted; do
    program=${pair%%:*}
    case $program in
      /*) [ -e "$program" ] ;;
      *) command -v "$program" >/dev/null ;;
    esac || { echo "$program is still missing after installing ${pair##*:}" >&2; return 1; }
  done
}
