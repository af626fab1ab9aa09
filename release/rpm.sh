#!/bin/sh
# Build dist/ahm-1.0-1.x86_64.rpm of dist/AHM_1.0.tar.gz: rpm.sh TARBALL DIRECTORY
set -eu
tarball=$1 directory=$2
command -v rpmbuild >/dev/null 2>&1 || {
    echo "no package was made: no rpmbuild found; install the package rpm-build (Debian: rpm)" >&2
    exit 1
}
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
rpmbuild --quiet -tb "$tarball" --define "_topdir $top" --define '_buildhost localhost'
mkdir -p "$directory"
cp "$top"/RPMS/x86_64/*.rpm "$directory"
ls "$directory"/*.rpm
