//! The Python wheel: an archive with the program among its scripts, as the binary distribution format asks
//! for (packaging.python.org, "Binary distribution format", 1.0).

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::root;

/// The machines that it can be installed on: a static program needs no C library of a certain age.
const TAGS: [&str; 2] = ["py3-none-manylinux_2_17_x86_64", "py3-none-musllinux_1_1_x86_64"];

/// Writes the wheel and returns its path.
pub(super) fn write(folder: &Path, program: &Path, version: &str) -> Result<PathBuf> {
    let machines = TAGS.map(|tag| tag.trim_start_matches("py3-none-")).join(".");
    let path = folder.join(format!("forktrace-{version}-py3-none-{machines}.whl"));
    let mut wheel = Wheel { zip: ZipWriter::new(File::create(&path)?), record: String::new() };
    let mut bytes = Vec::new();
    File::open(program)?.read_to_end(&mut bytes)?;
    wheel.add(&format!("forktrace-{version}.data/scripts/forktrace"), &bytes, 0o755)?;
    let info = |name: &str| format!("forktrace-{version}.dist-info/{name}");
    wheel.add(&info("METADATA"), metadata(version)?.as_bytes(), 0o644)?;
    let tags: String = TAGS.iter().map(|tag| format!("Tag: {tag}\n")).collect();
    let head = "Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\n";
    wheel.add(&info("WHEEL"), format!("{head}{tags}").as_bytes(), 0o644)?;
    for name in ["LICENSE-MIT", "LICENSE-GPL-2.0"] {
        let text = fs::read(root().join(name))?;
        wheel.add(&info(&format!("licenses/{name}")), &text, 0o644)?;
    }
    // The list has itself without a digest.
    let record = info("RECORD");
    let list = format!("{}{record},,\n", wheel.record);
    wheel.add(&record, list.as_bytes(), 0o644)?;
    wheel.zip.finish()?;
    Ok(path)
}

/// An archive that is being written.
struct Wheel {
    zip: ZipWriter<File>,
    /// The lines of its RECORD so far.
    record: String,
}

impl Wheel {
    fn add(&mut self, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
        // The earliest time that the format knows: the same each time.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        self.zip.start_file(name, options)?;
        self.zip.write_all(bytes)?;
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        self.record.push_str(&format!("{name},sha256={digest},{}\n", bytes.len()));
        Ok(())
    }
}

fn metadata(version: &str) -> Result<String> {
    let readme = fs::read_to_string(root().join("README.md"))?;
    Ok(format!(
        "Metadata-Version: 2.4\nName: forktrace\nVersion: {version}\nSummary: Finds forked child \
         processes that hang on an inherited lock, and proves why (Linux, eBPF)\nLicense-Expression: \
         MIT\nLicense-File: LICENSE-MIT\nLicense-File: LICENSE-GPL-2.0\nRequires-Python: >=3.7\n\
         Classifier: Operating System :: POSIX :: Linux\nClassifier: Topic :: Software Development :: \
         Debuggers\nDescription-Content-Type: text/markdown\n\n{readme}"
    ))
}
