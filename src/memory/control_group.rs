//! What the control groups of this process leave.
//!
//! The group of the process's own path and every group above it count. Page cache does not count as used, since the
//! kernel drops it before it refuses memory.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Bytes left by the tightest control group that holds this process; `None` without such a group or limit.
///
/// Everything is read below `root`: `/`, or a tree made by a test.
pub(super) fn bytes_left(root: &Path) -> Option<u64> {
    let groups = read_lossy(&root.join("proc/self/cgroup"))?;
    let mountinfo = read_lossy(&root.join("proc/self/mountinfo"))?;
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
    groups
        .lines()
        .filter_map(|line| {
            let (hierarchy, path) = Hierarchy::of_process(line)?;
            hierarchy.left(root, &mounts, Path::new(path))
        })
        .min()
}

/// The two generations of control groups that limit memory; a hybrid machine mounts both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hierarchy {
    V1,
    V2,
}

impl Hierarchy {
    /// Reads a line `number:controllers:path` of `/proc/self/cgroup`: the hierarchy, if it can limit memory, and the
    /// process's path in it.
    fn of_process(line: &str) -> Option<(Self, &str)> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            Some((Self::V1, path))
        } else if number == "0" && controllers.is_empty() {
            Some((Self::V2, path))
        } else {
            None
        }
    }

    /// The least that any visible group on the way from the process's group up to the mount leaves.
    fn left(self, root: &Path, mounts: &[Mount], path: &Path) -> Option<u64> {
        let own = || mounts.iter().filter(|mount| mount.hierarchy == self);
        let mut places: Vec<_> = own()
            .filter_map(|mount| Some((mount, mount.below(path)?)))
            .collect();
        if places.is_empty() {
            // The path speaks of another namespace than the mounts: what is mounted is all that can be known.
            places = own().map(|mount| (mount, PathBuf::new())).collect();
        }
        places
            .iter()
            .filter_map(|(mount, below)| {
                let top = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
                below
                    .ancestors()
                    .filter_map(|group| self.left_in(&top.join(group)))
                    .min()
            })
            .min()
    }

    /// What one group leaves; `None` without a limit, or where the folder does not exist or does not control memory.
    fn left_in(self, group: &Path) -> Option<u64> {
        let (limit_file, usage_file, prefix) = match self {
            Self::V1 => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
            Self::V2 => ("memory.max", "memory.current", ""),
        };
        let stat = read_lossy(&group.join("memory.stat")).unwrap_or_default();
        // A v1 group also knows the least limit of all groups above it, those beyond the mount included.
        let limit = read_number(&group.join(limit_file))
            .into_iter()
            .chain(field(&stat, "hierarchical_memory_limit"))
            .min()
            .filter(|&limit| limit < UNLIMITED)?;
        let usage = read_number(&group.join(usage_file)).unwrap_or(0);
        let page_cache: u64 = ["inactive_file", "active_file"]
            .into_iter()
            .filter_map(|list| field(&stat, &format!("{prefix}{list}")))
            .sum();
        Some(limit.saturating_sub(usage.saturating_sub(page_cache)))
    }
}

/// Version 1 writes "no limit" as the largest `i64` rounded down to a page, or more: no machine has half of that.
const UNLIMITED: u64 = 1 << 62;

/// A mounted hierarchy of control groups.
#[derive(Debug, PartialEq)]
struct Mount {
    hierarchy: Hierarchy,
    /// The group that the mount shows at its top.
    group: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
}

impl Mount {
    /// Reads a line of `/proc/self/mountinfo` (see `proc_pid_mountinfo(5)`), if it mounts groups that can limit memory.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (group, point) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        let (kind, _device) = (file_system.next()?, file_system.next()?);
        let hierarchy = match kind {
            "cgroup2" => Hierarchy::V2,
            "cgroup" if file_system.next()?.split(',').any(|o| o == "memory") => Hierarchy::V1,
            _ => return None,
        };
        Some(Self {
            hierarchy,
            group: unescape(group).into(),
            point: unescape(point).into(),
        })
    }

    /// A group's path relative to the mount; `None` for a group outside of it.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.group).ok()?;
        below
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
            .then(|| below.to_owned())
    }
}

/// `mountinfo` writes blank, tab, newline and backslash as octal escapes.
fn unescape(path: &str) -> String {
    path.replace(r"\040", " ")
        .replace(r"\011", "\t")
        .replace(r"\012", "\n")
        .replace(r"\134", r"\")
}

/// A file's text, whatever its encoding: one odd mount point must not hide all others.
fn read_lossy(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number that a file holds; `None` for "max".
fn read_number(file: &Path) -> Option<u64> {
    read_lossy(file)?.trim().parse().ok()
}

/// The number behind a name in a table of lines `name number`.
fn field(table: &str, name: &str) -> Option<u64> {
    table.lines().find_map(|line| {
        line.split_once(' ')
            .filter(|(found, _)| *found == name)
            .and_then(|(_, number)| number.trim().parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    const V1_UNLIMITED: &str = "9223372036854771712";

    /// A made file system: what the kernel would show to one process.
    struct Tree(TempDir);

    impl Tree {
        fn new(groups: &str, mountinfo: &str) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.file("proc/self/cgroup", groups);
            tree.file("proc/self/mountinfo", mountinfo);
            tree
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A version 2 group.
        fn v2(self, folder: &str, max: &str, current: u64, [inactive, active]: [u64; 2]) -> Self {
            self.file(&format!("{folder}/memory.max"), &format!("{max}\n"));
            self.file(&format!("{folder}/memory.current"), &format!("{current}\n"));
            self.file(
                &format!("{folder}/memory.stat"),
                &format!(
                    "anon 1\nfile 2\ninactive_anon 3\ninactive_file {inactive}\nactive_file {active}\nunevictable 0\n"
                ),
            );
            self
        }

        /// A version 1 group; `above` is the least limit of the groups above it and its own.
        fn v1(
            self,
            folder: &str,
            limit: &str,
            above: &str,
            usage: u64,
            [inactive, active]: [u64; 2],
        ) -> Self {
            self.file(
                &format!("{folder}/memory.limit_in_bytes"),
                &format!("{limit}\n"),
            );
            self.file(
                &format!("{folder}/memory.usage_in_bytes"),
                &format!("{usage}\n"),
            );
            self.file(
                &format!("{folder}/memory.stat"),
                &format!(
                    "cache 5\ninactive_file 7\nactive_file 9\nhierarchical_memory_limit {above}\n\
                     hierarchical_memsw_limit {V1_UNLIMITED}\n\
                     total_inactive_file {inactive}\ntotal_active_file {active}\n"
                ),
            );
            self
        }

        fn left(&self) -> Option<u64> {
            bytes_left(self.0.path())
        }
    }

    const V2_MOUNT: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
         30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1_MOUNT: &str = "31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n\
         32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
         35 31 0:32 / /sys/fs/cgroup/memory rw master:7 - cgroup cgroup rw,memory\n";
    const V1_GROUPS: &str = "9:name=systemd:/\n4:memory:/slurm/uid_7/job_3\n1:cpu:/elsewhere\n";

    #[test]
    fn v2_group_leaves_its_limit_less_usage_without_page_cache() {
        let tree = Tree::new("0::/user.slice/job\n", V2_MOUNT).v2(
            "sys/fs/cgroup/user.slice/job",
            "4294967296",
            3 * GIB,
            [GIB, 512 * MIB],
        );
        assert_eq!(tree.left(), Some(4 * GIB - 3 * GIB / 2));
    }

    #[test]
    fn v2_tightest_ancestor_counts() {
        let tree = Tree::new("0::/a/b/c\n", V2_MOUNT)
            .v2("sys/fs/cgroup/a/b/c", "8589934592", GIB, [0, 0])
            .v2("sys/fs/cgroup/a/b", "max", GIB, [0, 0])
            .v2("sys/fs/cgroup/a", "4294967296", 3 * GIB, [MIB, 0])
            .v2("sys/fs/cgroup/other", "4096", 4096, [0, 0]);
        assert_eq!(tree.left(), Some(GIB + MIB));
    }

    #[test]
    fn v2_group_without_memory_controller_is_limited_by_those_above() {
        let tree =
            Tree::new("0::/a/leaf\n", V2_MOUNT).v2("sys/fs/cgroup/a", "1073741824", MIB, [0, 0]);
        tree.file("sys/fs/cgroup/a/leaf/cgroup.procs", "1\n");
        assert_eq!(tree.left(), Some(GIB - MIB));
    }

    #[test]
    fn v2_max_is_no_limit() {
        let tree = Tree::new("0::/a\n", V2_MOUNT).v2("sys/fs/cgroup/a", "max", 3 * GIB, [GIB, GIB]);
        assert_eq!(tree.left(), None);
    }

    #[test]
    fn usage_beyond_the_limit_leaves_nothing() {
        let tree = Tree::new("0::/a\n", V2_MOUNT).v2("sys/fs/cgroup/a", "1048576", GIB, [4096, 0]);
        assert_eq!(tree.left(), Some(0));
    }

    #[test]
    fn page_cache_beyond_usage_leaves_the_limit() {
        let tree = Tree::new("0::/a\n", V2_MOUNT).v2("sys/fs/cgroup/a", "1048576", 5, [4096, 0]);
        assert_eq!(tree.left(), Some(MIB));
    }

    #[test]
    fn v1_group_leaves_its_limit_less_usage_without_page_cache() {
        let tree = Tree::new(V1_GROUPS, V1_MOUNT).v1(
            "sys/fs/cgroup/memory/slurm/uid_7/job_3",
            "4294967296",
            "4294967296",
            3 * GIB,
            [GIB, 512 * MIB],
        );
        assert_eq!(tree.left(), Some(4 * GIB - 3 * GIB / 2));
    }

    #[test]
    fn v1_tightest_ancestor_counts() {
        let tree = Tree::new(V1_GROUPS, V1_MOUNT)
            .v1(
                "sys/fs/cgroup/memory/slurm/uid_7/job_3",
                V1_UNLIMITED,
                "4294967296",
                GIB,
                [0, 0],
            )
            .v1(
                "sys/fs/cgroup/memory/slurm/uid_7",
                "4294967296",
                "4294967296",
                3 * GIB,
                [MIB, 0],
            )
            .v1(
                "sys/fs/cgroup/memory/slurm",
                "8589934592",
                "8589934592",
                4 * GIB,
                [0, 0],
            );
        assert_eq!(tree.left(), Some(GIB + MIB));
    }

    #[test]
    fn v1_limit_above_the_mount_counts() {
        let mount = V1_MOUNT.replace("0:32 / ", "0:32 /slurm/uid_7/job_3 ");
        let tree = Tree::new(V1_GROUPS, &mount).v1(
            "sys/fs/cgroup/memory",
            V1_UNLIMITED,
            "2147483648",
            GIB,
            [0, 0],
        );
        assert_eq!(tree.left(), Some(GIB));
    }

    #[test]
    fn v1_unlimited_is_no_limit() {
        for unlimited in [
            V1_UNLIMITED,
            "9223372036854710272",
            "9223372036854775807",
            "18446744073709551615",
        ] {
            let tree = Tree::new(V1_GROUPS, V1_MOUNT).v1(
                "sys/fs/cgroup/memory/slurm/uid_7/job_3",
                unlimited,
                unlimited,
                GIB,
                [0, 0],
            );
            assert_eq!(tree.left(), None, "{unlimited}");
        }
    }

    #[test]
    fn v1_memory_may_share_its_hierarchy() {
        let mount = "35 31 0:32 / /cg rw - cgroup none rw,cpu,memory\n";
        let tree = Tree::new("4:cpu,memory:/a\n", mount).v1("cg/a", "4096", "4096", 96, [0, 0]);
        assert_eq!(tree.left(), Some(4000));
    }

    #[test]
    fn hybrid_takes_the_memory_controller_where_it_is() {
        let mounts =
            format!("{V1_MOUNT}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let tree = Tree::new("4:memory:/job\n0::/session\n", &mounts).v1(
            "sys/fs/cgroup/memory/job",
            "1073741824",
            "1073741824",
            MIB,
            [0, 0],
        );
        tree.file("sys/fs/cgroup/unified/session/cgroup.procs", "1\n");
        assert_eq!(tree.left(), Some(GIB - MIB));
        let moved = tree.v2("sys/fs/cgroup/unified/session", "8388608", 0, [0, 0]);
        assert_eq!(moved.left(), Some(8 * MIB));
    }

    #[test]
    fn mount_of_a_sub_path_is_mapped() {
        let mount = "30 22 0:26 /docker/ab /cg rw - cgroup2 cgroup rw\n";
        let tree = Tree::new("0::/docker/ab/job\n", mount)
            .v2("cg/job", "max", 0, [0, 0])
            .v2("cg", "8192", 192, [0, 0])
            .v2("cg/docker/ab/job", "1", 0, [0, 0]);
        assert_eq!(tree.left(), Some(8000));
    }

    #[test]
    fn path_unknown_below_the_mount_falls_back_to_its_top() {
        // The host's path, seen in a container whose own group is mounted as if it were the top.
        let tree = Tree::new("0::/docker/ab\n", V2_MOUNT).v2("sys/fs/cgroup", "8192", 192, [0, 0]);
        assert_eq!(tree.left(), Some(8000));
        let elsewhere = "30 22 0:26 /kubepods/pod1 /cg rw - cgroup2 cgroup rw\n";
        let tree = Tree::new("0::/docker/ab\n", elsewhere).v2("cg", "4096", 96, [0, 0]);
        assert_eq!(tree.left(), Some(4000));
    }

    #[test]
    fn path_outside_the_namespace_stays_within_the_mount() {
        let tree = Tree::new("0::/../sibling\n", V2_MOUNT)
            .v2("sys/fs/cgroup", "8192", 192, [0, 0])
            .v2("sys/fs/sibling", "1", 0, [0, 0]);
        assert_eq!(tree.left(), Some(8000));
    }

    #[test]
    fn mount_that_shows_the_process_outranks_others() {
        let mounts = format!("29 22 0:26 /foreign /other rw - cgroup2 cgroup rw\n{V2_MOUNT}");
        let tree = Tree::new("0::/a\n", &mounts)
            .v2("sys/fs/cgroup/a", "8192", 192, [0, 0])
            .v2("other", "1", 0, [0, 0]);
        assert_eq!(tree.left(), Some(8000));
    }

    #[test]
    fn escaped_mount_points_and_colons_in_paths() {
        let mount = "30 22 0:26 / /my\\040groups\\134x rw - cgroup2 cgroup rw\n";
        let tree = Tree::new("0::/a:b\n", mount).v2("my groups\\x/a:b", "8192", 192, [0, 0]);
        assert_eq!(tree.left(), Some(8000));
    }

    #[test]
    fn odd_bytes_and_torn_lines_hide_nothing() {
        let tree =
            Tree::new("torn\n\n0::/a\n", V2_MOUNT).v2("sys/fs/cgroup/a", "8192", 192, [0, 0]);
        let mut mounts =
            b"28 1 8:2 / /media/\xe9 rw - vfat /dev/sdb rw\n1 2 torn\n\n3 - cgroup2\n".to_vec();
        mounts.extend_from_slice(V2_MOUNT.as_bytes());
        fs::write(tree.0.path().join("proc/self/mountinfo"), mounts).unwrap();
        assert_eq!(tree.left(), Some(8000));
    }

    #[test]
    fn no_control_groups_no_limit() {
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(bytes_left(nothing.path()), None);
        assert_eq!(Tree::new("", "").left(), None);
        assert_eq!(Tree::new("0::/\n", V2_MOUNT).left(), None);
    }
}
