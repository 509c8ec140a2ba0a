//! An executable and what it needs to run where there is nothing: the loader and the libraries that it was linked
//! against. What it is for is read from its own header (System V ABI, "ELF Header" and "Program Header").

use std::fmt;
use std::path::Path;

use bytes::Bytes;

use crate::Error;

/// Largest file that is taken.
const LARGEST: u64 = 1 << 30;

/// What kind of processor a program is for, as engines call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Architecture {
    X86_64,
    Aarch64,
    Ppc64le,
    Riscv64,
}

impl Architecture {
    /// As `uname -m` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Ppc64le => "ppc64le",
            Self::Riscv64 => "riscv64",
        }
    }

    /// Whether an engine that says this of its host runs it.
    #[must_use]
    pub fn runs_on(self, said: &str) -> bool {
        let said = match said {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        said == self.as_str()
    }

    /// `e_machine`.
    const fn of_machine(number: u16) -> Option<Self> {
        match number {
            62 => Some(Self::X86_64),
            183 => Some(Self::Aarch64),
            21 => Some(Self::Ppc64le),
            243 => Some(Self::Riscv64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A program with all that it needs.
#[derive(Debug, Clone)]
pub struct Executable {
    pub(crate) program: Bytes,
    /// Paths in the image, without the slash at their beginning.
    pub(crate) libraries: Vec<(String, Bytes)>,
    architecture: Architecture,
}

impl Executable {
    /// The running program: `maps` is what the system says is mapped into it (`/proc/self/maps`, `proc_pid_maps(5)`).
    ///
    /// # Errors
    /// [`Error::Executable`]: a file can't be read, or it is no program for a host of containers.
    pub fn running(path: &Path, maps: &str) -> Result<Self, Error> {
        let program = read(path)?;
        let header = header(path, &program)?;
        let mut libraries = Vec::new();
        if let Some(loader) = header.loader {
            let content = read(Path::new(&loader))?;
            libraries.push((loader.trim_start_matches('/').to_owned(), content));
            for library in mapped(maps) {
                let name = library.file_name().unwrap_or_default().to_string_lossy();
                libraries.push((format!("lib/{name}"), read(library)?));
            }
        }
        Ok(Self {
            program,
            libraries,
            architecture: header.architecture,
        })
    }

    /// A program in a file, which was linked statically: whatever it were linked with is on another machine.
    ///
    /// # Errors
    /// [`Error::Executable`]: it can't be read, or is no such program.
    pub fn whole(path: &Path) -> Result<Self, Error> {
        let program = read(path)?;
        let header = header(path, &program)?;
        if let Some(loader) = header.loader {
            let why = format!("it needs {loader} and libraries; give one that was linked statically");
            return Err(fault(path, why));
        }
        Ok(Self {
            program,
            libraries: Vec::new(),
            architecture: header.architecture,
        })
    }

    /// What it is for.
    #[must_use]
    pub const fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Bytes of all of it.
    #[must_use]
    pub fn size(&self) -> u64 {
        let libraries = self.libraries.iter().map(|(_, content)| content.len());
        libraries
            .chain([self.program.len()])
            .map(|length| length as u64)
            .sum()
    }
}

fn fault(path: &Path, why: impl Into<String>) -> Error {
    Error::Executable {
        path: path.to_owned(),
        why: why.into(),
    }
}

fn read(path: &Path) -> Result<Bytes, Error> {
    let read = || -> std::io::Result<Vec<u8>> {
        let found = fs_err::metadata(path)?;
        if !found.is_file() || found.len() > LARGEST {
            return Err(std::io::Error::other("it is no file, or larger than 1 GiB"));
        }
        fs_err::read(path)
    };
    read()
        .map(Bytes::from)
        .map_err(|error| fault(path, error.to_string()))
}

/// The libraries among what is mapped, each once.
fn mapped(maps: &str) -> Vec<&Path> {
    let mut found: Vec<&Path> = Vec::new();
    for line in maps.lines() {
        let Some(path) = line.find('/').and_then(|at| line.get(at..)).map(Path::new) else {
            continue;
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_loader = ["ld-linux", "ld-musl", "ld64.so"]
            .iter()
            .any(|own| name.starts_with(own));
        if name.contains(".so") && !name.ends_with(" (deleted)") && !is_loader && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

struct Header {
    architecture: Architecture,
    loader: Option<String>,
}

fn header(path: &Path, program: &[u8]) -> Result<Header, Error> {
    if !program.starts_with(b"\x7fELF") {
        return Err(fault(path, "it is no program for Linux"));
    }
    // EI_CLASS 2 is 64 bits, EI_DATA 1 is little endian.
    if program.get(4..6) != Some(&[2, 1]) {
        return Err(fault(
            path,
            "only programs of 64 bits, little endian, are known here",
        ));
    }
    let cut = || fault(path, "its header is cut off");
    let machine = number(program, 18, 2).ok_or_else(cut)?;
    let architecture = u16::try_from(machine).ok().and_then(Architecture::of_machine);
    let architecture = architecture.ok_or_else(|| {
        fault(
            path,
            format!("it is for a kind of processor (ELF {machine}) that is not known here"),
        )
    })?;
    let (table, size, count) = (
        number(program, 32, 8).ok_or_else(cut)?,
        number(program, 54, 2).ok_or_else(cut)?,
        number(program, 56, 2).ok_or_else(cut)?,
    );
    for index in 0..count {
        let entry = index
            .checked_mul(size)
            .and_then(|at| at.checked_add(table))
            .ok_or_else(cut)?;
        // PT_INTERP
        if number(program, entry, 4).ok_or_else(cut)? != 3 {
            continue;
        }
        let field = |at: u64| entry.checked_add(at).and_then(|at| number(program, at, 8));
        let (from, length) = (field(8).ok_or_else(cut)?, field(32).ok_or_else(cut)?);
        let text = from
            .checked_add(length)
            .and_then(|to| program.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?))
            .ok_or_else(cut)?;
        let text = String::from_utf8_lossy(text);
        let loader = text.trim_end_matches('\0');
        let is_plain = loader.starts_with('/')
            && Path::new(loader)
                .components()
                .all(|part| part.as_os_str() != "..");
        if !is_plain {
            return Err(fault(path, "its loader has no absolute path"));
        }
        return Ok(Header {
            architecture,
            loader: Some(loader.to_owned()),
        });
    }
    Ok(Header {
        architecture,
        loader: None,
    })
}

/// A number of `bytes` bytes, little endian.
fn number(program: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let piece = program.get(at..at.checked_add(bytes)?)?;
    Some(
        piece
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as linkers write it, with this loader.
    fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        let mut load = [0; 56];
        load[0] = 1;
        file.extend(load);
        let mut entry = [0; 56];
        if let Some(loader) = loader {
            entry[0] = 3;
            entry[8..16].copy_from_slice(&176_u64.to_le_bytes());
            entry[32..40].copy_from_slice(&(loader.len() as u64 + 1).to_le_bytes());
        }
        file.extend(entry);
        file.extend(loader.unwrap_or_default().bytes().chain([0]));
        file
    }

    #[test]
    fn headers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let check = |content: Vec<u8>, wanted: Result<Architecture, &str>| {
            fs_err::write(&path, content).unwrap();
            match (Executable::whole(&path), wanted) {
                (Ok(found), Ok(architecture)) => assert_eq!(found.architecture(), architecture),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, wanted) => unreachable!("{found:?} instead of {wanted:?}"),
            }
        };
        check(elf(62, None), Ok(Architecture::X86_64));
        check(elf(183, None), Ok(Architecture::Aarch64));
        check(elf(40, None), Err("ELF 40"));
        check(elf(62, Some("/lib64/ld.so")), Err("linked statically"));
        check(elf(62, Some("../ld.so")), Err("no absolute path"));
        check(b"#!/bin/sh".to_vec(), Err("no program for Linux"));
        check(elf(62, None)[..60].to_vec(), Err("cut off"));
        let mut wide = elf(62, None);
        wide[32..40].fill(0xff);
        check(wide, Err("cut off"));
        let mut big = elf(62, None);
        big[5] = 2;
        check(big, Err("little endian"));
    }

    #[test]
    fn this_very_program() {
        let maps = fs_err::read_to_string("/proc/self/maps").unwrap();
        let own = Executable::running(&std::env::current_exe().unwrap(), &maps).unwrap();
        assert!(own.architecture().runs_on(std::env::consts::ARCH));
        // Of glibc and its loader at least, unless it was linked whole.
        assert_ne!(own.libraries.len(), 1);
        assert!(own.libraries.iter().all(|(path, _)| !path.starts_with('/')));
        assert!(own.size() > own.program.len() as u64 || own.libraries.is_empty());
    }

    #[test]
    fn words_for_the_same() {
        for (said, wanted) in [("x86_64", true), ("amd64", true), ("aarch64", false), ("", false)] {
            assert_eq!(Architecture::X86_64.runs_on(said), wanted, "{said}");
        }
        assert!(Architecture::Aarch64.runs_on("arm64"));
    }
}
