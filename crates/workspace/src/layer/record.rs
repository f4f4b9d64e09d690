//! What a layer says about itself, in `record.json` beside it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::protected::Protected;
use crate::error::{Error, Result};
use crate::escape::{escape, unescape};
use crate::tree::{Dir, Moment};

const NAME: &str = "record.json";

/// What a layer is about.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) workspace: PathBuf,
    pub(crate) command: Option<String>,
    pub(crate) protected: Protected,
    /// By the clock that stamps files, so that it can be compared with their change times.
    pub(crate) created: Moment,
}

/// As it is written. Paths are escaped, as JSON has no bytes.
#[derive(Deserialize, Serialize)]
struct Written {
    version: u32,
    workspace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    created: Moment,
    #[serde(default)]
    protected: Vec<String>,
}

const VERSION: u32 = 1;

impl Record {
    /// When the layer was made.
    pub(crate) fn created(&self) -> SystemTime {
        let seconds = u64::try_from(self.created.0).unwrap_or(0);
        UNIX_EPOCH + Duration::new(seconds, self.created.1)
    }

    pub(crate) fn write(&self, dir: &Dir, path: &Path) -> Result<()> {
        let written = Written {
            version: VERSION,
            workspace: escape(&self.workspace),
            command: self.command.clone(),
            created: self.created,
            protected: self.protected.patterns().iter().map(|path| escape(path)).collect(),
        };
        let text = serde_json::to_vec_pretty(&written).expect("because it is plain data");
        let mut file =
            dir.create_file(NAME.as_ref()).map_err(Error::io("make", &path.join(NAME)))?;
        file.write_all(&text).map_err(Error::io("write", &path.join(NAME)))
    }

    pub(crate) fn read(dir: &Dir, path: &Path) -> Result<Record> {
        let path = path.join(NAME);
        let mut text = String::new();
        let mut file = dir.open_file(NAME.as_ref(), None).map_err(Error::io("open", &path))?;
        file.read_to_string(&mut text).map_err(Error::io("read", &path))?;
        let bad = |source| Error::BadRecord { path: path.clone(), source };
        let written: Written = serde_json::from_str(&text).map_err(bad)?;
        if written.version != VERSION {
            return Err(bad(serde::de::Error::custom("it was written by another version")));
        }
        let name = |text: &String| {
            unescape(text)
                .ok_or_else(|| bad(serde::de::Error::custom("a path is not escaped as it should")))
        };
        Ok(Record {
            workspace: name(&written.workspace)?,
            protected: Protected::new(
                written.protected.iter().map(name).collect::<Result<Vec<_>>>()?,
            ),
            command: written.command,
            created: written.created,
        })
    }
}
