# doctor.sh: `shunt doctor`: what this machine, or a program, is fit for, and what mends the rest. Sourced by `shunt`.
#
# Three kinds of findings. ok: as it should be. --: something that some uses need is missing, or works otherwise than one may
# think; behind it the uses and the remedy. BAD: nothing works without (for a program: it can't run on shunt). The exit status is 1
# when there is a BAD.

ok() { printf 'ok    %s\n' "$*"; }
lack() { printf -- '--    %s\n      %s\n' "$1" "$2"; }
bad() {
    printf 'BAD   %s\n      %s\n' "$1" "$2"
    sick=1
}

# The first line of a file; nothing when it can't be read.
first_line() {
    local line=''
    { read -r line <"$1"; } 2>/dev/null
    echo "$line"
}

doctor_build() {
    local missing
    find_libraries
    if [ -z "$lib" ] || [ -z "$ctl" ]; then
        bad "no build" "$(how_to_build)"
        return
    fi
    missing=$(ldd "$lib" "${lib%/*}/libshunt-engine.so" 2>&1 | awk '/not found/ {print $1}' | sort -u | tr '\n' ' ')
    if [ -n "$missing" ]; then
        bad "libraries are missing: $missing" "run $top/scripts/setup"
    else
        ok "shunt: $lib"
    fi
}

doctor_kernel() {
    local release major minor flag missing=
    release=$(uname -r)
    IFS=. read -r major minor _ <<<"$release"
    minor=${minor%%[!0-9]*}
    case $(uname -m) in
    x86_64)
        for flag in sse4_2 ssse3; do
            grep -qw "$flag" /proc/cpuinfo || missing+=" $flag"
        done
        [ -z "$missing" ] || bad "the processor lacks$missing" "DPDK needs it: another machine, or another model of virtual processor"
        grep -qw constant_tsc /proc/cpuinfo || lack "the processor's time stamp counter does not run evenly: times may be off" \
            "a virtual machine may hide it: let it see the host's processor"
        ;;
    aarch64) ;;
    *) bad "processor $(uname -m)" "shunt is written for x86_64 and aarch64" ;;
    esac
    if [ "$major" -gt 5 ] || { [ "$major" -eq 5 ] && [ "${minor:-0}" -ge 4 ]; }; then
        ok "Linux $release, $(nproc) processors"
    else
        bad "Linux $release is too old" "5.4 or later is needed (pidfd)"
    fi
    [ "$(nproc)" -gt 1 ] || lack "one processor: who spins takes it from the others" "--set spin_us=0, or one more processor"
    if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || grep -qsE 'docker|kubepods|containerd|lxc' /proc/1/cgroup; then
        ok "a container: what is missing below its start has to give (see docs/howto/containers.md)"
    fi
}

# What the kernel lets this process do, tried (shunt-ctl probe).
doctor_features() {
    local name answer scope
    [ -n "$ctl" ] || return
    while read -r name answer; do
        case $name:$answer in
        pidfd:no) lack "pidfd_open is forbidden: a killed process is noticed late" "a sandbox forbids it: allow it in its seccomp profile" ;;
        dispatch:yes) ok "syscall user dispatch: Go programs, names by libc's resolver" ;;
        dispatch:no) lack "no syscall user dispatch: Go programs stay on the kernel, and so does asking for names" \
            "Linux 5.11 or later on x86-64, and no sandbox that forbids prctl" ;;
        xdp:yes) ok "AF_XDP: xdp links" ;;
        xdp:no) lack "no AF_XDP: no xdp links" "root or a user namespace, and a kernel with CONFIG_XDP_SOCKETS; packet: in its place works everywhere" ;;
        memfd:no) bad "memfd_create fails: no memory to share with the program's children" "a sandbox forbids it: allow it in its seccomp profile" ;;
        reserve:no) bad "64 GiB of addresses can't be reserved" \
            "ulimit -v unlimited; and vm.overcommit_memory other than 2: sysctl -w vm.overcommit_memory=0" ;;
        tracing:no)
            scope=$(first_line /proc/sys/kernel/yama/ptrace_scope)
            lack "Yama's ptrace_scope is $scope: a process that is stopped inside the stack holds the others up" \
                "sysctl -w kernel.yama.ptrace_scope=1"
            ;;
        esac
    done < <("$ctl" probe)
}

# The number of a capability in the effective set of this process.
has_cap() {
    local eff
    eff=$(awk '/^CapEff/ {print $2}' /proc/self/status)
    [ $((0x$eff >> $1 & 1)) = 1 ]
}

# What gives the right to make taps and open interfaces.
doctor_rights() {
    local how="run as root" key
    if has_cap 12 && has_cap 13 && unshare -n true 2>/dev/null; then
        ok "privileges: every link can be opened here"
    elif has_cap 12 && has_cap 13; then
        ok "CAP_NET_ADMIN and CAP_NET_RAW: tap and packet links"
    elif unshare -rn true 2>/dev/null; then
        ok "user namespaces: without root, run it in one: unshare -rn $0 run --link tap:s0 ..."
    else
        for key in kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0; do
            [ "$(first_line "/proc/sys/$(tr . / <<<"${key%=*}")")" = "$((1 - ${key#*=}))" ] && how+=", or allow user namespaces: sysctl -w $key"
        done
        [ "$(first_line /proc/sys/user/max_user_namespaces)" != 0 ] || how+=", or allow user namespaces: sysctl -w user.max_user_namespaces=10000"
        lack "no right to make network devices: tap, packet and xdp links can't be opened" \
            "$how (memif, vhost, virtio and --profile isolate need neither); in a container: --cap-add NET_ADMIN --cap-add NET_RAW"
    fi
}

doctor_tun() {
    if [ ! -e /dev/net/tun ]; then
        lack "/dev/net/tun is missing: no tap links" \
            "modprobe tun; or mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200; in a container: --device /dev/net/tun"
    elif ! (exec 3<>/dev/net/tun) 2>/dev/null; then
        lack "/dev/net/tun can't be opened: no tap links" "chmod 666 /dev/net/tun, or modprobe tun"
    else
        ok "/dev/net/tun: tap links"
    fi
}

doctor_memory() {
    local total free available hard locked
    total=$(awk '/^HugePages_Total/ {print $2}' /proc/meminfo)
    free=$(awk '/^HugePages_Free/ {print $2}' /proc/meminfo)
    available=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
    hard=$(ulimit -Hn)
    locked=$(ulimit -Hl)
    if [ "${free:-0}" -gt 0 ]; then
        ok "huge pages: $free of $total free; used where they suffice (--set mem_mb=...)"
    else
        lack "no huge pages free (of ${total:-0}): works without, a little slower" "sysctl -w vm.nr_hugepages=600"
    fi
    if grep -qs hugetlbfs /proc/mounts; then
        ok "hugetlbfs: mounted"
    else
        lack "hugetlbfs is not mounted: needed for pci links alone" "mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages"
    fi
    [ "$available" -ge 256 ] || lack "only $available MiB of memory available" "--set mem_mb=128 bounds the packet memory"
    [ "$(ulimit -Hv)" = unlimited ] || bad "address space is limited to $(ulimit -Hv) KiB" "raise it: ulimit -v unlimited"
    if [ "$hard" = unlimited ] || [ "$hard" -ge 4096 ]; then
        ok "descriptors: hard limit $hard"
    else
        lack "a hard limit of $hard descriptors" "raise it for more than a few hundred connections: LimitNOFILE= or /etc/security/limits.conf"
    fi
    if [ "$locked" = unlimited ] || has_cap 14; then
        ok "locked memory: no limit"
    else
        lack "locked memory is limited to $locked KiB: not enough for a network card, nor for xdp before Linux 5.11" \
            "LimitMEMLOCK=infinity, ulimit -l unlimited, or docker run --ulimit memlock=-1"
    fi
}

# Where the sockets of running stacks are put (preload/engine/ctldir.c).
doctor_run() {
    local dir room
    if [ -n "${XDG_RUNTIME_DIR:-}" ]; then dir=$XDG_RUNTIME_DIR; elif [ "$(id -u)" = 0 ]; then dir=/run; else dir=/tmp; fi
    if [ ! -d "$dir" ] || [ ! -w "$dir" ]; then
        lack "$dir can't be written to: 'shunt ls' and 'shunt exec' won't find stacks" "mkdir -p $dir, or a writable XDG_RUNTIME_DIR"
        return
    fi
    room=$(df -Pk "$dir" 2>/dev/null | awk 'NR == 2 {print $4}')
    if [ "${room:-0}" -lt 64 ]; then
        lack "$dir is full" "make room in it"
    else
        ok "$dir: the sockets of running stacks"
    fi
}

doctor_cards() {
    local dev driver name any= group vfs
    for dev in /sys/bus/pci/devices/*; do
        [[ $(first_line "$dev/class") == 0x02* ]] || continue
        any=1 name=${dev##*/} driver=none vfs=
        [ ! -e "$dev/driver" ] || driver=$(basename "$(readlink -f "$dev/driver")")
        [ ! -e "$dev/sriov_totalvfs" ] || vfs=", can be shared: $(first_line "$dev/sriov_totalvfs") virtual functions (SR-IOV)"
        case $driver in
        vfio-pci | uio_pci_generic | igb_uio) ok "card $name: driver $driver, --link pci:$name" ;;
        *) lack "card $name has the kernel's driver $driver ($(first_line "$dev/vendor"):$(first_line "$dev/device"))$vfs" \
            "for --link pci:$name: dpdk-devbind.py --bind=vfio-pci $name (takes it from the kernel: not the one you log in by)" ;;
        esac
    done
    [ -n "$any" ] || return
    [ -e /dev/vfio/vfio ] || lack "no VFIO: no pci links" "modprobe vfio-pci"
    for group in /sys/kernel/iommu_groups/*; do
        [ ! -e "$group" ] || return 0
    done
    lack "no IOMMU: VFIO works only without its protection" \
        "switch it on (BIOS; intel_iommu=on), or echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
}

# Settings of systemd units of the program that reach into its network.
doctor_units() {
    local unit keys dir
    for dir in /etc/systemd/system /run/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        for unit in "$dir"/*.service; do
            [ -f "$unit" ] && grep -qE "^ExecStart=[-@:+!]*$1( |$)" "$unit" || continue
            keys=$(grep -oE '^(SystemCallFilter|RestrictAddressFamilies|MemoryDenyWriteExecute|PrivateDevices|RestrictNamespaces|CapabilityBoundingSet|LimitMEMLOCK|LimitAS)=' \
                "$unit" | tr -d = | sort -u | paste -sd ' ')
            if [ -n "$keys" ]; then
                lack "${unit##*/} restricts the program: $keys" \
                    "what it forbids the stack lacks too (taps: /dev/net/tun, CAP_NET_ADMIN, AF_PACKET, ptrace): loosen it in 'systemctl edit ${unit##*/}', or start the program by hand"
            fi
            return
        done
    done
}

doctor_program() {
    local path report
    path=$(type -P -- "$1") || die 127 "$1: no such command"
    path=$(readlink -f "$path")
    [ -n "$ctl" ] || die 1 "$(how_to_build)"
    report=$("$ctl" inspect "$path") || sick=1
    if [ $sick = 0 ]; then
        ok "$path: can be run on shunt"
        [ -z "$report" ] || printf '%s\n' "$report"
        doctor_units "$path"
    else
        printf '%s\n' "$report"
        echo "      this program stays on the kernel's stack"
    fi
}

doctor() {
    case ${1:-} in
    -h | --help) echo "usage: shunt doctor [PROGRAM]" && exit 0 ;;
    -*) die 2 "doctor: no option $1: shunt doctor [PROGRAM]" ;;
    esac
    [ $# -le 1 ] || die 2 "doctor: shunt doctor [PROGRAM]"
    sick=0
    doctor_build
    if [ $# = 1 ]; then
        doctor_program "$1"
    else
        doctor_kernel
        doctor_features
        doctor_rights
        doctor_tun
        doctor_memory
        doctor_run
        doctor_cards
    fi
    exit $sick
}
