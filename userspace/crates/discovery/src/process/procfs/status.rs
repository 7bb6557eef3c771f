//! `/proc/<pid>/status` and `/proc/<pid>/limits`:
//! <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html>

use super::text::{decimal, field, hexadecimal, words};

/// The status of a thread. Its name comes first, with line ends escaped, so that no name is taken for another field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its process.
    pub tgid: u32,
    /// Its id in its own pid namespace; `None` where the kernel has no such namespaces.
    pub innermost_id: Option<u32>,
    /// Real, effective and saved user.
    pub users: [u32; 3],
    /// The groups alike.
    pub groups: [u32; 3],
    /// The capabilities that it may use.
    pub permitted: u64,
    /// The number of times it was switched away from, by itself and by the kernel.
    pub switches: (u64, u64),
}

impl Status {
    /// `None` where a field is missing that every kernel writes.
    pub(super) fn parse(status: &[u8]) -> Option<Self> {
        let ids = |name: &[u8]| three(field(status, name)?);
        let number = |name: &[u8]| decimal(field(status, name)?);
        Some(Self {
            tgid: decimal(field(status, b"Tgid:")?)?,
            innermost_id: field(status, b"NSpid:").and_then(|ids| decimal(words(ids).next_back()?)),
            users: ids(b"Uid:")?,
            groups: ids(b"Gid:")?,
            permitted: hexadecimal(field(status, b"CapPrm:")?)?,
            switches: (number(b"voluntary_ctxt_switches:")?, number(b"nonvoluntary_ctxt_switches:")?),
        })
    }
}

/// The first three; the fourth is of the file system.
fn three(ids: &[u8]) -> Option<[u32; 3]> {
    let ids: Vec<u32> = words(ids).take(3).map(decimal).collect::<Option<_>>()?;
    ids.try_into().ok()
}

/// The soft limit of this name, where it is a number.
pub(super) fn soft_limit(limits: &[u8], name: &[u8]) -> Option<u64> {
    decimal(words(field(limits, name)?).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"\
Name:\t\xff\\nUid:\t0\t0\t0\t0
Umask:\t0022
State:\tS (sleeping)
Tgid:\t4711
Ngid:\t0
Pid:\t4712
Uid:\t1000\t1001\t1002\t1003
Gid:\t100\t101\t102\t103
NStgid:\t4711\t1
NSpid:\t4712\t2
CapPrm:\t000001ffffffffff
voluntary_ctxt_switches:\t150
nonvoluntary_ctxt_switches:\t5
";

    #[test]
    fn fields_behind_any_name() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!((status.tgid, status.innermost_id), (4711, Some(2)));
        assert_eq!((status.users, status.groups), ([1000, 1001, 1002], [100, 101, 102]));
        assert_eq!((status.permitted, status.switches), (0x1ff_ffff_ffff, (150, 5)));
    }

    #[test]
    fn what_is_missing_is_not_guessed() {
        let without = |name: &str| {
            let text = STATUS.escape_ascii().to_string().replace(name, "Other");
            Status::parse(text.replace("\\n", "\n").replace("\\t", "\t").as_bytes())
        };
        assert_eq!(without("NSpid").unwrap().innermost_id, None);
        for name in ["Tgid", "Uid", "Gid", "CapPrm", "nonvoluntary_ctxt_switches"] {
            assert_eq!(without(name), None, "{name}");
        }
        assert_eq!(three(b"1 2"), None);
        assert_eq!(three(b"1 2 \xff"), None);
    }

    #[test]
    fn limits_are_numbers_or_none() {
        let limits = b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max open files            1024                 524288               files     \n\
            Max cpu time              unlimited            unlimited            seconds   \n";
        assert_eq!(soft_limit(limits, b"Max open files"), Some(1024));
        assert_eq!(soft_limit(limits, b"Max cpu time"), None);
        assert_eq!(soft_limit(limits, b"Max nothing"), None);
    }
}
