//! Changes to the configuration file: in place, with comments and order kept, and only to something that can be read.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::{FileError, Settings, file, table};

/// The file, open for a change. What is set is written by [`Edit::save`], or not at all.
pub(crate) struct Edit {
    path: PathBuf,
    before: String,
    document: DocumentMut,
    /// Held until the change is written: two commands that change the file at once do so one after the other.
    _lock: Option<fs::File>,
}

impl Settings {
    /// Opens the configuration file for a change; one that does not exist is made when the change is saved.
    pub(crate) fn edit(&self) -> Result<Edit> {
        Edit::open(&self.file)
    }
}

impl Edit {
    fn open(path: &Path) -> Result<Self> {
        // A link stays a link: what it points to is changed.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().context("the configuration file has no folder")?;
        fs::create_dir_all(folder).context("can't make the folder of the configuration")?;
        let lock = lock(folder)?;
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context("can't read the configuration"),
        };
        let document = before
            .parse()
            .with_context(|| format!("{} is not TOML, so it can't be changed", path.display()))?;
        Ok(Self {
            path,
            before,
            document,
            _lock: lock,
        })
    }

    /// What stands at a path.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&Item> {
        let mut item = self.document.as_item();
        for name in path {
            item = item.as_table_like()?.get(name)?;
        }
        Some(item)
    }

    /// Makes the table at a path, with a header of its own, unless it is there.
    pub(crate) fn table(&mut self, path: &[&str]) -> Result<()> {
        let made = self.get(path).is_none();
        let item = self.make(path)?;
        if made && let Some(table) = item.as_table_mut() {
            table.set_implicit(false);
        }
        Ok(())
    }

    /// Sets the value at a path; tables on the way are made, and a comment behind the value stays.
    pub(crate) fn set(&mut self, path: &[&str], value: impl Into<Value>) -> Result<()> {
        let Some((name, table)) = path.split_last() else {
            bail!("a value needs a key");
        };
        self.table(table)?;
        let place = self.make(table)?;
        let Some(place) = place.as_table_like_mut() else {
            bail!("`{}` is no table", table::dotted(table));
        };
        let mut value = value.into();
        if let Some(old) = place.get(name).and_then(Item::as_value) {
            *value.decor_mut() = old.decor().clone();
        }
        place.insert(name, Item::Value(value));
        Ok(())
    }

    /// The texts of the list at a path; none where there is no list.
    pub(crate) fn list_of_texts(&self, path: &[&str]) -> Result<Vec<String>> {
        let Some(item) = self.get(path) else {
            return Ok(Vec::new());
        };
        let texts = item.as_array().map(|items| items.iter().map(Value::as_str));
        let texts = texts.and_then(Iterator::collect::<Option<Vec<_>>>);
        let texts = texts.with_context(|| format!("`{}` is no list of texts", table::dotted(path)))?;
        Ok(texts.into_iter().map(str::to_owned).collect())
    }

    /// Makes the list at a path hold these texts. Those that stay keep their places and the comments beside them.
    pub(crate) fn set_list(&mut self, path: &[&str], texts: &[String]) -> Result<()> {
        let is_list = self.get(path).is_some_and(Item::is_array);
        if !is_list {
            return self.set(path, texts.iter().collect::<Array>());
        }
        let list = self.make(path)?.as_array_mut().context("it was a list before")?;
        let before: Vec<Value> = list.iter().cloned().collect();
        let text_of = |raw: Option<&toml_edit::RawString>| {
            let text = raw.and_then(toml_edit::RawString::as_str);
            text.unwrap_or_default().to_owned()
        };
        let mut trailing = text_of(Some(list.trailing()));
        list.clear();
        // What stands behind a comma is kept before the next item: the comment of an item that stays must not go with
        // the next one that does not.
        let mut comment = String::new();
        let mut indent = None;
        for mut item in before {
            let prefix = text_of(item.decor().prefix());
            if prefix.starts_with('\n') || prefix.contains('#') {
                indent = prefix.rsplit('\n').next().map(str::to_owned);
            }
            let stays = item
                .as_str()
                .is_some_and(|text| texts.iter().any(|kept| kept == text));
            if stays {
                item.decor_mut().set_prefix(format!("{comment}{prefix}"));
                comment.clear();
                list.push_formatted(item);
            } else if prefix.contains('#') {
                comment.push_str(prefix.trim_end());
            }
        }
        trailing.insert_str(0, &comment);
        for text in texts {
            if list.iter().any(|item| item.as_str() == Some(text)) {
                continue;
            }
            // A list with a line for each stays one.
            if let Some(indent) = &indent {
                let mut value = Value::from(text.as_str());
                value
                    .decor_mut()
                    .set_prefix(format!("{}\n{indent}", trailing.trim_end()));
                "\n".clone_into(&mut trailing);
                list.push_formatted(value);
            } else {
                list.push(text.as_str());
            }
        }
        list.set_trailing(trailing);
        Ok(())
    }

    /// Removes what stands at a path, and the tables around it that nothing is left of and that have no comment.
    /// Returns whether there was anything.
    pub(crate) fn remove(&mut self, path: &[&str]) -> bool {
        remove(self.document.as_table_mut(), path)
    }

    /// The settings as they would be once this is saved.
    ///
    /// # Errors
    /// It would not be in order.
    pub(crate) fn then(&self, settings: &Settings) -> Result<Settings> {
        let file = file::parse(&self.document.to_string()).map_err(|faults| FileError::Faulty {
            path: self.path.clone(),
            faults,
        });
        let file = file.context("the configuration would not be in order afterwards; nothing was changed")?;
        let mut then = settings.clone();
        then.take(Some(file))?;
        Ok(then)
    }

    /// Writes the file, if anything was changed: at once and as a whole, after checking that it can be read.
    /// Returns whether it was written.
    pub(crate) fn save(self) -> Result<bool> {
        let after = self.document.to_string();
        if after == self.before {
            return Ok(false);
        }
        if let Err(faults) = file::parse(&after) {
            let faults = FileError::Faulty {
                path: self.path,
                faults,
            };
            return Err(faults)
                .context("the configuration would not be in order afterwards; nothing was changed");
        }
        replace(&self.path, &after)
            .with_context(|| format!("can't write {}; nothing was changed", self.path.display()))?;
        Ok(true)
    }

    fn make(&mut self, path: &[&str]) -> Result<&mut Item> {
        let mut item = self.document.as_item_mut();
        for (depth, name) in path.iter().enumerate() {
            let Some(table) = item.as_table_like_mut() else {
                bail!("`{}` is no table", table::dotted(&path[..depth]));
            };
            item = table.entry(name).or_insert_with(|| {
                let mut table = Table::new();
                table.set_implicit(true);
                Item::Table(table)
            });
        }
        Ok(item)
    }
}

fn remove(table: &mut dyn toml_edit::TableLike, path: &[&str]) -> bool {
    match path {
        [] => false,
        [name] => table.remove(name).is_some(),
        [name, rest @ ..] => {
            let Some(inner) = table.get_mut(name) else {
                return false;
            };
            let Some(inside) = inner.as_table_like_mut() else {
                return false;
            };
            let removed = remove(inside, rest);
            // Only headers that we made ourselves say nothing.
            let spare = inner
                .as_table()
                .is_some_and(|table| table.is_empty() && table.is_implicit());
            if removed && spare {
                table.remove(name);
            }
            removed
        }
    }
}

/// Takes the lock of the folder, for as long as the file is open; where there are no locks, goes without.
#[cfg(unix)]
fn lock(folder: &Path) -> Result<Option<fs::File>> {
    use rustix::fs::{FlockOperation, flock};
    let file = fs::File::open(folder).context("can't open the folder of the configuration")?;
    flock(&file, FlockOperation::LockExclusive).context("can't lock the folder of the configuration")?;
    Ok(Some(file))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
fn lock(_folder: &Path) -> Result<Option<fs::File>> {
    Ok(None)
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension(format!("toml.{}.new", std::process::id()));
    let written = write(&draft, path, text).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may not even have been made.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write(draft: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    fs::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this text, after the change; `None` if it was not written.
    fn changed(text: &str, change: impl FnOnce(&mut Edit)) -> Result<Option<String>> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("config.toml");
        if !text.is_empty() {
            fs::write(&path, text).unwrap();
        }
        let mut edit = Edit::open(&path).unwrap();
        change(&mut edit);
        let written = edit.save()?;
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert!(files <= 1, "a draft was left behind");
        Ok(written.then(|| fs::read_to_string(&path).unwrap()))
    }

    const COMMENTED: &str = "\
# Mine.
[policy]
ask = \"never\" # for now

[gateway]
port = 9000
";

    #[test]
    fn what_is_set_stands_where_it_belongs_and_comments_stay() {
        let after = changed(COMMENTED, |edit| {
            edit.set(&["policy", "ask"], "change").unwrap();
            edit.set(&["gateway", "transport"], "http").unwrap();
        });
        insta::assert_snapshot!(after.unwrap().unwrap(), @r#"
        # Mine.
        [policy]
        ask = "change" # for now

        [gateway]
        port = 9000
        transport = "http"
        "#);
    }

    #[test]
    fn a_file_is_made_and_left_alone_when_nothing_changes() {
        let after = changed("", |edit| edit.set(&["gateway", "port"], 1).unwrap());
        assert_eq!(after.unwrap().unwrap(), "[gateway]\nport = 1\n");
        let after = changed(COMMENTED, |edit| {
            edit.set(&["gateway", "port"], 9000).unwrap();
            assert!(!edit.remove(&["gateway", "nothing"]));
        });
        assert_eq!(after.unwrap(), None);
    }

    #[test]
    fn lists_are_changed_in_place() {
        let text = "[policy]\ndeny = [\n  \"docker/prune_*\", # why\n  \"docker/remove_*\",\n] # end\nallow = [\"docker/list_*\"]\n";
        let after = changed(text, |edit| {
            let mut deny = edit.list_of_texts(&["policy", "deny"]).unwrap();
            deny.retain(|rule| rule != "docker/remove_*");
            deny.push("docker/stop_*".to_owned());
            edit.set_list(&["policy", "deny"], &deny).unwrap();
            edit.set_list(
                &["policy", "allow"],
                &["docker/list_*".to_owned(), "docker/inspect_*".to_owned()],
            )
            .unwrap();
            assert!(edit.list_of_texts(&["gateway", "hosts"]).unwrap().is_empty());
            edit.set_list(&["gateway", "hosts"], &["box".to_owned()]).unwrap();
        });
        insta::assert_snapshot!(after.unwrap().unwrap(), @r#"
        [policy]
        deny = [
          "docker/prune_*", # why
          "docker/stop_*",
        ] # end
        allow = ["docker/list_*", "docker/inspect_*"]

        [gateway]
        hosts = ["box"]
        "#);
    }

    #[test]
    fn removing() {
        let after = changed(COMMENTED, |edit| assert!(edit.remove(&["gateway", "port"])));
        assert_eq!(
            after.unwrap().unwrap(),
            "# Mine.\n[policy]\nask = \"never\" # for now\n\n[gateway]\n"
        );
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let error = changed(COMMENTED, |edit| edit.set(&["gateway", "prot"], 1).unwrap()).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("the configuration would not be in order afterwards; nothing was changed: "),
            "{text}"
        );
        assert!(
            text.ends_with(":7: unknown key `gateway.prot`; did you mean `port`?"),
            "{text}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_modes_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::TempDir::new().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("config.toml"));
        fs::write(&real, "").unwrap();
        fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        fs::os::unix::fs::symlink(&real, &link).unwrap();
        let mut edit = Edit::open(&link).unwrap();
        edit.set(&["gateway", "port"], 1).unwrap();
        assert!(edit.save().unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "[gateway]\nport = 1\n");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
