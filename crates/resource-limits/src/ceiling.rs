//! The caller's own hard limits, which no process below can raise.
//!
//! The one place of this crate that asks the kernel about the calling process. One system call,
//! no file.

use std::io;

use crate::Resource;

/// The kernel would not say what limit holds.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the limit on {resource:?} of this process")]
#[non_exhaustive]
pub struct CeilingError {
    /// The resource asked for.
    pub resource: Resource,
    /// What the kernel answered.
    #[source]
    pub source: io::Error,
}

/// The hard limit that already holds for the calling process, in the unit of the resource;
/// `u64::MAX` when there is none.
///
/// # Errors
///
/// [`CeilingError`] when the kernel refuses `getrlimit(2)`, as a seccomp filter around the caller
/// might.
///
/// # References
///
/// `getrlimit(2)`.
pub fn hard_ceiling(resource: Resource) -> Result<u64, CeilingError> {
    kernel::hard(resource).map_err(|source| CeilingError { resource, source })
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;

    use nix::sys::resource::{Resource as Name, getrlimit};

    use crate::Resource;

    pub(super) fn hard(resource: Resource) -> io::Result<u64> {
        getrlimit(name(resource)).map(|(_soft, hard)| hard).map_err(Into::into)
    }

    pub(super) fn name(resource: Resource) -> Name {
        match resource {
            Resource::CpuTime => Name::RLIMIT_CPU,
            Resource::FileSize => Name::RLIMIT_FSIZE,
            Resource::Core => Name::RLIMIT_CORE,
            Resource::Processes => Name::RLIMIT_NPROC,
            Resource::OpenFiles => Name::RLIMIT_NOFILE,
            Resource::AddressSpace => Name::RLIMIT_AS,
        }
    }
}

/// The other library: nix has no name for the limit of processes on macOS.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;

    use rustix::process::{Resource as Name, getrlimit};

    use crate::Resource;

    pub(super) fn hard(resource: Resource) -> io::Result<u64> {
        Ok(getrlimit(name(resource)).maximum.unwrap_or(u64::MAX))
    }

    pub(super) fn name(resource: Resource) -> Name {
        match resource {
            Resource::CpuTime => Name::Cpu,
            Resource::FileSize => Name::Fsize,
            Resource::Core => Name::Core,
            Resource::Processes => Name::Nproc,
            Resource::OpenFiles => Name::Nofile,
            Resource::AddressSpace => Name::As,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_has_a_ceiling_and_the_kernels_number() {
        for resource in [
            Resource::CpuTime,
            Resource::FileSize,
            Resource::Core,
            Resource::Processes,
            Resource::OpenFiles,
            Resource::AddressSpace,
        ] {
            assert_eq!(kernel::name(resource) as u32, resource.raw(), "{resource:?}");
            hard_ceiling(resource).expect("because getrlimit is open to everybody");
        }
    }
}
