//! Files over the SFTP server of a real sshd, and over what is none.

use crate::support::*;
use ssh::sftp::Fault;
use ssh::{Error, Sftp};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use testkit::Sshd;

const INTERNAL: &str = "Subsystem sftp internal-sftp";

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

async fn read(sftp: &Sftp, path: &Path) -> Vec<u8> {
    let mut reading = sftp.open(bytes(path)).await.unwrap().reading();
    let mut all = Vec::new();
    loop {
        let part = reading.read(usize::MAX).await.unwrap();
        if part.is_empty() {
            return all;
        }
        all.extend(part);
    }
}

#[tokio::test]
async fn files_are_written_and_read() {
    let sshd = Sshd::start(INTERNAL).await;
    let host = host(&sshd);
    let sftp = host.sftp().await.unwrap();
    let file = path(&sshd, "large");
    let content: Vec<u8> = (0..5_000_000_u32)
        .map(|at| u8::try_from(at / 7 % 251).unwrap())
        .collect();
    let mut writing = sftp.create(bytes(&file), 0o600).await.unwrap().writing();
    for part in content.chunks(700_001) {
        writing.write(part).await.unwrap();
    }
    writing.set_mode(0o640).await.unwrap();
    assert_eq!(writing.finish().await.unwrap(), 5_000_000);
    assert!(fs_err::read(&file).unwrap() == content);
    assert_eq!(
        fs_err::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(read(&sftp, &file).await == content);
    let mut reading = sftp.open(bytes(&file)).await.unwrap().reading();
    assert_eq!(reading.stat().await.unwrap().size, Some(5_000_000));
    for at in [4_999_990, 17, 1_234_567] {
        reading.seek(at);
        let at = usize::try_from(at).unwrap();
        let part = reading.read(5).await.unwrap();
        assert!(part[..] == content[at..at + 5], "{at}");
        assert_eq!(reading.position(), at as u64 + 5);
    }
    // Where something is, nothing is made.
    assert!(matches!(
        sftp.create(bytes(&file), 0o600).await,
        Err(Fault::Failed(_))
    ));
    // What a kernel makes up has no size, and is read to its end all the same.
    assert!(
        read(&sftp, Path::new("/proc/self/status"))
            .await
            .starts_with(b"Name:")
    );
    assert!(sftp.is_open());
    assert!(host.sftp().await.unwrap().lstat(b"/").await.is_ok());
    host.close().await;
    assert!(matches!(host.sftp().await, Err(Error::Closed { .. })));
}

#[tokio::test]
async fn names_and_links() {
    let sshd = Sshd::start(INTERNAL).await;
    let host = host(&sshd);
    let sftp = host.sftp().await.unwrap();
    let dir = path(&sshd, "dir");
    sftp.make_dir(bytes(&dir)).await.unwrap();
    for number in 0..1_234 {
        fs_err::write(dir.join(format!("file{number}")), "x").unwrap();
    }
    let odd = dir.join(std::ffi::OsStr::from_bytes(b"odd\xff\n"));
    fs_err::write(&odd, "odd").unwrap();
    let (names, whole) = sftp.list(bytes(&dir), 5_000).await.unwrap();
    assert_eq!((names.len(), whole), (1_235, true));
    let found = names.iter().find(|name| &name.name[..] == b"odd\xff\n").unwrap();
    assert_eq!(found.attributes.size, Some(3));
    assert_eq!(sftp.list(bytes(&dir), 10).await.unwrap().0.len(), 10);
    assert_eq!(read(&sftp, &odd).await, b"odd");

    let link = dir.join("link");
    sftp.symlink(bytes(&link), b"../dir/file1").await.unwrap();
    assert_eq!(&sftp.readlink(bytes(&link)).await.unwrap()[..], b"../dir/file1");
    let real = fs_err::canonicalize(dir.join("file1")).unwrap();
    assert_eq!(&sftp.realpath(bytes(&link)).await.unwrap()[..], bytes(&real));
    let is_link = |mode: Option<u32>| mode.unwrap() & 0o170_000 == 0o120_000;
    assert!(is_link(sftp.lstat(bytes(&link)).await.unwrap().mode));
    let paths = [
        bytes(&link).to_vec(),
        bytes(&dir.join("none")).to_vec(),
        bytes(&odd).to_vec(),
    ];
    let stats = sftp.lstats(&paths).await.unwrap();
    assert!(
        matches!(&stats[..], [Ok(_), Err(Fault::NoSuchFile), Ok(_)]),
        "{stats:?}"
    );

    let (one, two) = (dir.join("file1"), dir.join("file2"));
    assert!(sftp.rename_new(bytes(&one), bytes(&two)).await.is_err());
    fs_err::write(&one, "new").unwrap();
    sftp.rename_over(bytes(&one), bytes(&two)).await.unwrap();
    assert_eq!(fs_err::read_to_string(&two).unwrap(), "new");
    sftp.rename_new(bytes(&two), bytes(&one)).await.unwrap();
    sftp.remove(bytes(&link)).await.unwrap();
    assert!(one.exists() && !two.exists());
    assert!(matches!(
        sftp.remove_dir(bytes(&dir)).await,
        Err(Fault::Failed(_))
    ));
    assert!(matches!(sftp.open(&[b'a'; 5_000]).await, Err(Fault::Long)));
}

#[tokio::test]
async fn a_break_is_told_and_the_next_who_asks_has_a_new_stream() {
    let sshd = Sshd::start(INTERNAL).await;
    let key = sshd.read("host_key.pub");
    fs_err::write(path(&sshd, ".ssh/known_hosts"), format!("[127.0.0.1]:* {key}")).unwrap();
    let link = Link::to(sshd.port()).await;
    let host = ssh::Host::new(
        target(link.port),
        options(&sshd, &Person::new(ssh::Trust::Refuse, &[])),
    );
    let sftp = host.sftp().await.unwrap();
    // A server that waits for a pipe's other end answers nobody.
    let pipe = path(&sshd, "pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (stuck, ()) = tokio::join!(sftp.open(bytes(&pipe)), async {
        testkit::eventually("the request", || async {
            (link.connections() == 1).then_some(())
        })
        .await;
        link.cut();
    });
    assert_eq!(stuck.unwrap_err(), Fault::Lost);
    assert!(!sftp.is_open());
    assert!(host.sftp().await.unwrap().lstat(b"/").await.is_ok());
    // Whoever still waits at the pipe has something to go on with.
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
}

#[tokio::test]
async fn what_is_no_sftp_server() {
    let none = Sshd::start("").await;
    let error = host(&none).sftp().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "127.0.0.1 does not open the subsystem sftp: its sshd_config has no such Subsystem, or not for this user"
    );
    for (command, expected) in [
        (
            "/bin/echo Welcome to this machine",
            "a packet is larger than 260 KiB; does its login print something?",
        ),
        ("/bin/cat", "the first packet has to be the version"),
        ("/bin/sleep 60", "its SFTP server gave no answer in 1 s"),
        ("/bin/true", "the connection to its SFTP server broke"),
    ] {
        let sshd = Sshd::start(&format!("Subsystem sftp {command}")).await;
        let host = host_with(&sshd, |options| options.limits.step = Duration::from_secs(1));
        let error = host.sftp().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{command}: {error}");
    }
}
