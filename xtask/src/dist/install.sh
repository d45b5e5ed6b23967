#!/bin/sh
# Installs what `cargo xtask dist` made where nothing of the build is, and runs the demo there: it finds a
# hang. Each root folder is a Debian that `cargo xtask pythons` made, below a layer that is thrown away.
#
# Usage: install.sh PACKAGES VERSION ROOTS     (as root, in a mount namespace of its own)
set -eu

if [ -z "${FORKTRACE_IN_NAMESPACE:-}" ]; then
    FORKTRACE_IN_NAMESPACE=1 exec unshare --mount --propagation private sh "$0" "$@"
fi

packages=$(realpath "$1")
version=$2
roots=$(realpath "$3")
layer=$(mktemp -d)
trap 'umount --recursive --lazy "$layer" && rmdir "$layer"' EXIT
mount -t tmpfs tmpfs "$layer"

# A fresh root over the one that is named.
fresh() {
    mkdir -p "$layer/$1/upper" "$layer/$1/work" "$layer/$1/root"
    mount -t overlay overlay \
        -o "lowerdir=$roots/$2,upperdir=$layer/$1/upper,workdir=$layer/$1/work" "$layer/$1/root"
    inside=$layer/$1/root
    mount -t proc proc "$inside/proc"
    mount --rbind /sys "$inside/sys"
    mount --bind /dev "$inside/dev"
    mkdir -p "$inside/packages"
    mount --bind "$packages" "$inside/packages"
}

# The demo hangs, and is found to.
finds() {
    said=$(chroot "$inside" /bin/sh -c "$1 demo inherited-lock" 2>&1) || {
        echo "$said" >&2
        exit 1
    }
    case $said in
    *"cannot wake up   certain"*) echo "$2: the demo's hang is found" ;;
    *)
        echo "$said" >&2
        echo "$2: no hang is found" >&2
        exit 1
        ;;
    esac
}

(cd "$packages" && sha256sum --quiet --check SHA256SUMS)

for release in 3.11 3.13; do
    [ -d "$roots/$release" ] || { echo "$roots/$release is missing: cargo xtask pythons" >&2; exit 1; }
    # Python under the name that the demo looks for.
    fresh "deb-$release" "$release"
    [ -e "$inside/usr/bin/python3" ] || ln -s "python$release" "$inside/usr/bin/python3"
    chroot "$inside" dpkg --install "/packages/forktrace_$version-1_amd64.deb" >/dev/null
    finds forktrace "Debian with Python $release, .deb"
    for file in /usr/share/man/man1/forktrace.1.gz /usr/share/man/man1/forktrace-top.1.gz \
        /usr/share/bash-completion/completions/forktrace /usr/share/zsh/vendor-completions/_forktrace \
        /usr/share/fish/vendor_completions.d/forktrace.fish; do
        [ -s "$inside$file" ] || { echo "the .deb has no $file" >&2; exit 1; }
    done
    chroot "$inside" dpkg --purge forktrace >/dev/null
    [ ! -e "$inside/usr/bin/forktrace" ] || { echo "the .deb leaves its program behind" >&2; exit 1; }

    archive=forktrace-$version-x86_64-unknown-linux-gnu
    chroot "$inside" tar -xzf "/packages/$archive.tar.gz" -C /opt
    finds "/opt/$archive/forktrace" "Debian with Python $release, archive"
done

# Nothing here is made of rpms: what is in the package is taken out of it.
if command -v rpm2cpio >/dev/null && command -v cpio >/dev/null; then
    fresh rpm 3.11
    [ -e "$inside/usr/bin/python3" ] || ln -s python3.11 "$inside/usr/bin/python3"
    rpm2cpio "$packages/forktrace-$version-1.x86_64.rpm" | (cd "$inside" && cpio -idm --quiet)
    finds /usr/bin/forktrace "the files of the .rpm"
else
    echo "the .rpm is not looked into: apt install rpm cpio"
fi

python3 -m venv "$layer/venv"
"$layer/venv/bin/pip" install --quiet --disable-pip-version-check --no-index \
    "$packages"/forktrace-"$version"-py3-none-*.whl
"$layer/venv/bin/forktrace" --version
said=$("$layer/venv/bin/forktrace" demo inherited-lock 2>&1)
case $said in
*"cannot wake up   certain"*) echo "the wheel in a venv: the demo's hang is found" ;;
*)
    echo "$said" >&2
    exit 1
    ;;
esac
