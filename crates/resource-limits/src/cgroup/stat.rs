//! The small files of a group, as text. Pure.

use std::path::Path;

use super::Disk;

/// The number behind a name, in files of lines `name number` (`cpu.stat`, `memory.events`).
pub(super) fn keyed(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The total behind `some` or `full`, in microseconds (`memory.pressure`).
pub(super) fn stall(text: &str, whose: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(whose)?.strip_prefix(' '))?;
    line.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok())
}

/// The sum over all devices, in files of lines `device name=number…` (`io.stat`).
pub(super) fn nested_sum(text: &str, name: &str) -> u64 {
    let words = text.split_ascii_whitespace();
    let values = words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    values.filter_map(|value| value.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

/// Whether a list of words has this one.
pub(super) fn lists(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|known| known == word)
}

/// The group of this process in the hierarchy of version 2: `/proc/self/cgroup`.
pub(super) fn own_group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A mount, as `/proc/self/mountinfo` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which directory of the file system is seen.
    root: String,
    /// Where it is seen.
    place: String,
    pub(super) device: Disk,
    pub(super) kind: String,
    /// The device's name, for file systems that have one.
    pub(super) source: String,
}

/// All mounts, the last one last. Lines of another form are left out.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    let one = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let mut head = head.split(' ').skip(2);
        let mut tail = tail.split(' ');
        Some(Mount {
            device: device(head.next()?)?,
            root: unescaped(head.next()?),
            place: unescaped(head.next()?),
            kind: tail.next()?.to_owned(),
            source: unescaped(tail.next()?),
        })
    };
    text.lines().filter_map(one).collect()
}

/// The mount that a path without links lies in: the deepest, and of several there the one that covers the others.
pub(super) fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let holds = mounts.iter().filter(|mount| path.starts_with(&mount.place));
    holds.max_by_key(|mount| mount.place.len())
}

/// Where a cgroup2 hierarchy is mounted, and which group of it is the root there: `/proc/self/mountinfo`.
pub(super) fn mounted(text: &str) -> Option<(String, String)> {
    let mount = mounts(text).into_iter().find(|mount| mount.kind == "cgroup2")?;
    Some((mount.place, mount.root))
}

/// A device as `major:minor`.
pub(super) fn device(text: &str) -> Option<Disk> {
    let (major, minor) = text.split_once(':')?;
    Some(Disk { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// White space and backslashes are written as three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// `cpu.max` for so many cores: the share of each tenth of a second.
pub(super) fn cpu_max(cores: f64) -> String {
    const PERIOD_US: f64 = 100_000.0;
    /// The kernel takes no less.
    const LEAST_US: f64 = 1_000.0;
    let quota = (cores * PERIOD_US).round().max(LEAST_US);
    format!("{quota:.0} {PERIOD_US:.0}")
}

/// `io.max` for so many bytes of a disk in a second.
pub(super) fn io_max(disk: Disk, read: Option<u64>, written: Option<u64>) -> String {
    let rate =
        |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    format!("{}:{} rbps={} wbps={}", disk.major, disk.minor, rate(read), rate(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let text = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n";
        for (name, expect) in
            [("max", Some(7)), ("oom", Some(2)), ("oom_kill", Some(3)), ("none", None)]
        {
            assert_eq!(keyed(text, name), expect, "{name}");
        }
        assert_eq!(keyed("usage_usec x\n", "usage_usec"), None);
    }

    #[test]
    fn stalls_are_read() {
        let text = "some avg10=0.12 avg60=0.00 avg300=0.00 total=1234\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=56\n";
        assert_eq!((stall(text, "some"), stall(text, "full")), (Some(1234), Some(56)));
        assert_eq!((stall("some total=x", "some"), stall("", "full")), (None, None));
    }

    #[test]
    fn devices_are_added_up() {
        let text = "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n253:0\n";
        assert_eq!((nested_sum(text, "rbytes"), nested_sum(text, "wbytes")), (4097, 8194));
        assert_eq!(nested_sum("", "rbytes"), 0);
    }

    #[test]
    fn mounts_and_groups_are_found() {
        let text = "22 1 0:5 / /proc rw - proc proc rw\n\
                    30 23 0:26 /a\\040b /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounted = mounted(text);
        assert_eq!(mounted, Some(("/sys/fs/cgroup".to_owned(), "/a b".to_owned())));
        assert_eq!(own_group("4:memory:/x\n0::/user.slice/a\n"), Some("/user.slice/a"));
        assert_eq!(own_group("4:memory:/x\n"), None);
        assert!(lists("cpu io memory pids\n", "io") && !lists("cpuset memory\n", "cpu"));
    }

    #[test]
    fn a_path_lies_in_the_deepest_mount() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    2 1 0:30 / /home rw shared:1 - btrfs /dev/sdb rw\n\
                    3 2 0:31 / /home rw - tmpfs tmpfs rw\n\
                    4 1 8:17 / /homes\\040all rw - xfs /dev/sdb1 rw\n\
                    odd\n";
        let mounts = mounts(text);
        let check = |path: &str, expect: &str| {
            let mount = mount_of(&mounts, Path::new(path));
            assert_eq!(mount.map(|mount| mount.kind.as_str()), Some(expect), "{path}");
        };
        check("/", "ext4");
        check("/home/a", "tmpfs");
        check("/homes all/a", "xfs");
        check("/homes", "ext4");
        assert_eq!(mounts[3].device, Disk { major: 8, minor: 17 });
        assert_eq!(mount_of(&mounts[1..], Path::new("/var")), None);
    }

    #[test]
    fn bandwidth_is_written_for_each_way() {
        let disk = Disk { major: 8, minor: 16 };
        for (read, written, expect) in
            [(Some(1), None, "8:16 rbps=1 wbps=max"), (None, Some(4096), "8:16 rbps=max wbps=4096")]
        {
            assert_eq!(io_max(disk, read, written), expect);
        }
    }

    #[test]
    fn shares_of_cores_are_written_as_microseconds() {
        for (cores, expect) in
            [(1.0, "100000 100000"), (0.5, "50000 100000"), (0.001, "1000 100000")]
        {
            assert_eq!(cpu_max(cores), expect, "{cores}");
        }
    }
}
