//! The text and the secrets that are measured with: made up, the same on every machine.

use ringfence_output_capture::Secret;

pub(crate) fn log_text(size: usize) -> Vec<u8> {
    let words = [
        "request",
        "handled",
        "connection",
        "worker",
        "cache",
        "timeout",
        "retry",
        "scheduler",
        "commit",
        "tokenizer",
    ];
    let levels = ["INFO ", "DEBUG", "WARN ", "ERROR"];
    let mut random = Random(7);
    let mut text = Vec::with_capacity(size + 256);
    let mut line = 0u64;
    while text.len() < size {
        line += 1;
        let n = random.next();
        let word = |shift: u32| words[(n >> shift) as usize % words.len()];
        let entry = format!(
            "2024-03-{:02}T{:02}:{:02}:{:02}.{:03}Z {} [{}-{}] {} {} in {} ms path=/srv/{}/{:x} id={:016x} status={}\n",
            1 + line / 86_400_000 % 28,
            line / 3_600_000 % 24,
            line / 60_000 % 60,
            line / 1000 % 60,
            line % 1000,
            levels[(n >> 60) as usize % 4],
            word(3),
            n % 16,
            word(7),
            word(11),
            n % 997,
            word(17),
            n & 0xffff,
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            [200, 201, 304, 404, 500][n as usize % 5],
        );
        text.extend_from_slice(entry.as_bytes());
    }
    text
}

pub(crate) fn secrets(count: usize) -> Vec<Secret> {
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = Random(99);
    let mut secret = |index: usize| {
        let length = 12 + index % 29;
        Vec::from_iter((0..length).map(|_| alphabet[random.next() as usize % alphabet.len()]))
    };
    (0..count).map(|index| Secret::new(secret(index))).collect()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
