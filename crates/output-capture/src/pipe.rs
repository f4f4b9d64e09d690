//! The size of a pipe: a busy command is not stopped by a full one so often.
//!
//! Only a wish: a user has so many pages of pipes at most, and other systems than Linux grow
//! their pipes by themselves. Without it a pipe is slower, not broken.

use std::os::fd::AsFd;

/// Asks for as much room as an ordinary user may have: one MiB.
///
/// # References
///
/// `pipe(7)`, `/proc/sys/fs/pipe-max-size`.
#[cfg(target_os = "linux")]
pub fn enlarge(pipe: &impl AsFd) {
    const BYTES: i32 = 1 << 20;
    let _size_got = nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETPIPE_SZ(BYTES));
}

/// Nothing is to be asked for here: the system makes a busy pipe larger by itself.
#[cfg(not(target_os = "linux"))]
pub fn enlarge(_pipe: &impl AsFd) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_enlarged_pipe_holds_more() {
        let held = |large: bool| {
            let (reader, mut writer) = std::io::pipe().expect("a pipe");
            if large {
                enlarge(&reader);
            }
            let nonblocking = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
            nix::fcntl::fcntl(&writer, nonblocking).expect("it is open");
            std::iter::from_fn(|| writer.write(&[0; 4096]).ok()).sum::<usize>()
        };
        // A user whose pages are used up gets no more than before.
        assert!(held(true) >= held(false));
    }
}
