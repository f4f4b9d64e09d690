//! Real runs under the eyes of viewers who are too slow for them.

use std::thread;

use crate::support::{Bench, PATIENCE, in_time, modes, start, text};
use ringfence_executor::{RunHandle, RunRequest};
use ringfence_output_capture::{Channel, Seen, Since, Viewer};

/// What the command prints, over and over, and how much of it.
const LINE: &[u8; 16] = b"0123456789abcde\n";
const PRINTED: u64 = 50_000_000;
/// Bytes that are kept for viewers.
const BUFFER: u64 = 64 * 1024;

/// Bytes that a viewer saw, bytes it was told it missed, and how often it was told so.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    seen: u64,
    lost: u64,
    losses: u32,
}

impl Tally {
    /// Takes what comes next, and looks whether it is what stands at that place; false at the end.
    fn take(&mut self, viewer: &mut Viewer) -> bool {
        match viewer.next(PATIENCE) {
            Seen::Output { place, channel, bytes } => {
                assert_eq!((place, channel), (self.seen + self.lost, Channel::Stdout));
                let from = usize::try_from(place % 16).expect("because 16 is small");
                let expect = LINE.iter().cycle().skip(from).take(bytes.len());
                assert!(bytes.iter().eq(expect), "at {place}");
                self.seen += bytes.len() as u64;
            }
            Seen::Lost(lost) => {
                self.lost += lost;
                self.losses += 1;
            }
            Seen::End => return false,
            Seen::Nothing => panic!("because the run goes on or is over"),
        }
        true
    }
}

/// Looks once whenever more has gone by than is kept.
fn look_slowly(mut viewer: Viewer, handle: &RunHandle) -> Tally {
    let (mut tally, mut ahead) = (Tally::default(), handle.viewer(Since::Now).expect("as here"));
    while tally.take(&mut viewer) {
        while ahead.place() < viewer.place() + 2 * BUFFER && ahead.next(PATIENCE) != Seen::End {}
    }
    tally
}

#[tokio::test]
async fn slow_viewers_hold_up_nothing_and_know_what_they_missed() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let line = format!("yes 0123456789abcde | head -c {PRINTED}; exit 3");
        let run = start(RunRequest { view_buffer: 64 * 1024, ..bench.shell(&line) });
        let handle = run.handle();
        let viewer = || handle.viewer(Since::Place(0)).expect("because the request asked for it");
        let (mut asleep, slow) = (viewer(), viewer());
        let watching = {
            let handle = handle.clone();
            thread::spawn(move || look_slowly(slow, &handle))
        };
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let slow = watching.join().expect("because it does not panic");

        assert_eq!((outcome.exit_code, outcome.stdout.bytes), (Some(3), PRINTED), "{mode:?}");
        let kept = text(&outcome.stdout.kept);
        assert!(kept.starts_with("0123456789abcde\n") && kept.ends_with("0123456789abcde\n"));
        assert_eq!(outcome.stdout.kept_bytes + outcome.stdout.dropped_bytes, PRINTED);

        assert_eq!(slow.seen + slow.lost, PRINTED, "{mode:?}: {slow:?}");
        assert!(slow.losses > 1, "{slow:?}");
        // Who never looked finds, at the end, the last part and one loss.
        let mut tally = Tally::default();
        while tally.take(&mut asleep) {}
        assert_eq!((tally.seen + tally.lost, tally.losses), (PRINTED, 1), "{mode:?}: {tally:?}");
        assert!(tally.seen > BUFFER / 2 && tally.seen <= BUFFER, "{tally:?}");
    }
}
