//! The small files of a group, as text. Pure.

/// The number behind a name, in files of lines `name number` (`cpu.stat`, `memory.events`).
pub(super) fn keyed(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
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

/// Where a cgroup2 hierarchy is mounted, and which group of it is the root there: `/proc/self/mountinfo`.
pub(super) fn mounted(text: &str) -> Option<(String, String)> {
    text.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        if !tail.starts_with("cgroup2 ") {
            return None;
        }
        let mut fields = head.split(' ').skip(3);
        let root = fields.next()?;
        Some((unescaped(fields.next()?), unescaped(root)))
    })
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
    fn shares_of_cores_are_written_as_microseconds() {
        for (cores, expect) in
            [(1.0, "100000 100000"), (0.5, "50000 100000"), (0.001, "1000 100000")]
        {
            assert_eq!(cpu_max(cores), expect, "{cores}");
        }
    }
}
