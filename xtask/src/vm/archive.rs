//! The initial file system: a few files in the archive format that kernels unpack (cpio, "newc").

use std::io::{self, Write};

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    out: W,
    next: u32,
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub(super) fn new(out: W) -> Archive<W> {
        Archive { out, next: 1 }
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// What writing says.
    pub(super) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, 0o040_755, &[])
    }

    /// Adds a program or other file.
    ///
    /// # Errors
    /// What writing says.
    pub(super) fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.entry(name, 0o100_755, content)
    }

    /// Writes the entry that ends an archive.
    ///
    /// # Errors
    /// What writing says.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    /// A header of thirteen numbers, the name with its NUL, the content; name and content end at multiples of four.
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        let links = 1;
        let numbers = [self.next, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.next += 1;
        let header: String = numbers.iter().map(|number| format!("{number:08x}")).collect();
        self.padded(format!("070701{header}{name}\0").as_bytes())?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn entries_are_padded_and_end_with_a_trailer() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file("abc", b"12345").expect("because memory takes every write");
        archive.finish().expect("because memory takes every write");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("07070100000001000081ed"), "{text}");
        assert_eq!(&text[110..124], concat!("abc\0\0\0", "12345\0\0\0"));
        assert!(text[124..].starts_with("070701"), "{text}");
        assert!(text.contains("TRAILER!!!") && bytes.len() % 4 == 0);
    }
}
