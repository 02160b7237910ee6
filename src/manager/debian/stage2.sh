#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the disk of a Debian image. The first process of a machine whose root is a folder with the unpacked essential
# packages of Debian, and with
#
#     /.doppel/debs/      packages to install
#     /.doppel/modules/   the kernel's
#     /.doppel/sources    apt's sources for the new system
#     /.doppel/out/       where the initramfs goes
#
# and whose first disk is empty and becomes the image. Lines that begin with "doppel: " are read by the host.
set -eu

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/tmp
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true

stage=/.doppel
new=/mnt

say() {
    echo "doppel: $*"
}

power_off() {
    sync
    busybox poweroff -f
    sleep 60
}

finish() {
    status=$?
    trap - EXIT
    [ $status = 0 ] || say "failed with status $status"
    power_off
}

mount_system() {
    mount -t proc proc "$1/proc"
    mount -t sysfs sysfs "$1/sys"
    [ -e "$1/dev/null" ] || mount -t devtmpfs devtmpfs "$1/dev"
    mkdir -p "$1/dev/pts" "$1/dev/shm"
    mount -t devpts devpts "$1/dev/pts"
    mount -t tmpfs tmpfs "$1/dev/shm"
    mount -t tmpfs tmpfs "$1/run"
}

# Prints the files of modules and of what they depend on, in the order to load them.
module_files() {
    local module file other
    for module; do
        file=$(find $stage/modules -name "$module.ko*" | head -n 1)
        # What is built in has no file.
        [ -n "$file" ] || continue
        for other in $(modinfo -F depends "$file" | tr ',' ' '); do
            module_files "$other"
        done
        echo "$file"
    done
}

unique() {
    awk '!seen[$0]++'
}

# For the root; and vsock, which systemd looks for before it loads modules itself.
boot_modules() {
    module_files virtio_blk crc32c_generic ext4 vmw_vsock_virtio_transport | unique
}

# ---- the disk ----

make_disk() {
    for file in $(boot_modules); do
        insmod "$file"
    done
    mke2fs -q -t ext4 -L root -m 1 -E lazy_itable_init=1,lazy_journal_init=1 /dev/vda
    mkdir -p $new
    mount -t ext4 -o nobarrier,noatime /dev/vda $new
    # The tree's owners are whoever unpacked it; the packages are installed once more below.
    tar -C / -c --one-file-system --exclude=./.doppel --exclude=./mnt --exclude=./lost+found . |
        tar -C $new -x --no-same-owner
    mkdir -p $new/proc $new/sys $new/dev $new/run $new/mnt $new/tmp $new$stage
    chmod 1777 $new/tmp
    mount --bind $stage $new$stage
    mount_system $new
}

# ---- the packages ----

in_new() {
    chroot $new "$@"
}

# Services of the new system must not start in here.
forbid_services() {
    printf '#!/bin/sh\nexit 101\n' >$new/usr/sbin/policy-rc.d
    chmod 755 $new/usr/sbin/policy-rc.d
}

install_packages() {
    options="--force-unsafe-io --force-depends --force-confdef --force-confold"
    mkdir -p $new/var/lib/dpkg/info $new/var/lib/dpkg/updates $new/var/lib/dpkg/triggers
    : >$new/var/lib/dpkg/status
    : >$new/var/lib/dpkg/available
    ln -sf /usr/share/zoneinfo/UTC $new/etc/localtime
    for package in base-passwd base-files; do
        in_new dpkg $options --install $stage/debs/"$package"_*.deb
    done
    # In this order: what maintainer scripts use has to be whole.
    in_new dpkg $options --unpack -R $stage/essential
    in_new dpkg $options --configure --pending
    in_new dpkg $options --unpack -R $stage/debs
    in_new dpkg --force-unsafe-io --force-confdef --force-confold --configure --pending
    in_new dpkg --audit
}

# ---- the system ----

write_files() {
    rm -f $new/usr/sbin/policy-rc.d $new/etc/resolv.conf $new/etc/hostname
    rm -f $new/etc/ssh/ssh_host_* $new/var/lib/systemd/random-seed $new/var/lib/dbus/machine-id
    : >$new/etc/machine-id
    echo debian >$new/etc/hostname
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >$new/etc/hosts
    echo 'nameserver 10.0.2.3' >$new/etc/resolv.conf
    echo '/dev/vda / ext4 errors=remount-ro,x-systemd.growfs 0 1' >$new/etc/fstab
    echo 'LANG=C.UTF-8' >$new/etc/default/locale
    rm -f $new/etc/apt/sources.list
    cp $stage/sources $new/etc/apt/sources.list.d/debian.sources
    cat >$new/etc/systemd/network/80-dhcp.network <<END
[Match]
Name=en* eth*

[Network]
DHCP=yes
IPv6AcceptRA=yes
END
    cat >$new/etc/systemd/system/ssh-host-key.service <<END
[Unit]
Description=Host key of this machine
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=sockets.target ssh.service shutdown.target
Conflicts=shutdown.target
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=sysinit.target
END
    in_new systemctl --quiet enable systemd-networkd.service ssh-host-key.service ssh.service
    in_new passwd -q -l root
}

copy_modules() {
    mkdir -p $new/usr/lib/modules
    cp -a $stage/modules/. $new/usr/lib/modules/
    chown -R 0:0 $new/usr/lib/modules
    for version in $new/usr/lib/modules/*; do
        in_new depmod "${version##*/}"
    done
}

# ---- the initramfs ----

write_init() {
    cat >"$1" <<'END'
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
    busybox insmod "/modules/$module"
done </modules/order
tries=0
while ! busybox mount -t ext4 -o ro /dev/vda /new 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries = 100 ]; then
        echo "doppel: the disk cannot be mounted; this is a shell"
        exec busybox sh
    fi
    busybox usleep 50000
done
for folder in proc sys dev; do
    busybox mount --move /$folder /new/$folder
done
exec busybox switch_root /new /sbin/init "$@"
END
    chmod 755 "$1"
}

make_initramfs() {
    root=/run/initramfs
    mkdir -p $root/bin $root/modules $root/new $root/proc $root/sys $root/dev
    cp /usr/bin/busybox $root/bin/busybox
    write_init $root/init
    boot_modules | while read -r file; do
        name=${file##*/}
        name=${name%.xz}
        case $file in
        *.xz) busybox xzcat "$file" >"$root/modules/$name" ;;
        *) cp "$file" "$root/modules/$name" ;;
        esac
        echo "$name" >>$root/modules/order
    done
    (cd $root && find . | busybox cpio -o -H newc 2>/dev/null) >$stage/out/initrd
}

trap finish EXIT
mount_system ""
# mawk's name, which its package sets up too late for others.
[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
say "makes the disk"
make_disk
forbid_services
say "installs packages"
install_packages
say "sets the system up"
copy_modules
write_files
say "makes the initramfs"
make_initramfs
umount -R $new
sync
say "done"
