//! Images on real engines: looking, naming, removing, files of images.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod build;
mod registry;

use crate::here::{all_but_podman, engine, image, on};
use base::names::ImageRef;
use bytes::Bytes;
use engine::ops::images::{ImageQuery, Import, RemoveImage, TransferEvent};
use engine::{Error, Filters};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde_json::json;
use testkit::{Scope, all_engines, image_on};

fn reference(text: &str) -> ImageRef {
    ImageRef::parse(text).unwrap()
}

async fn all<T>(events: impl Stream<Item = Result<T, Error>>) -> Vec<T> {
    events.try_collect().await.unwrap()
}

#[tokio::test]
async fn naming_listing_and_removing() {
    for daemon in all_but_podman("spells names with their registry").await {
        let scope = Scope::on(daemon.clone(), "images");
        let engine = on(&daemon);
        let image = reference(image_on(&daemon).await);
        let copy = reference(&scope.image("copy"));
        engine.image_tag(&image, &copy).await.unwrap();

        let filters = Filters::new().with("reference", copy.as_str());
        let query = ImageQuery {
            filters,
            ..ImageQuery::default()
        };
        let listed = engine.image_list(&query).await.unwrap();
        assert_eq!(listed.len(), 1);
        let inspected = engine.image_inspect(&copy).await.unwrap();
        assert_eq!(listed[0]["Id"], inspected["Id"]);
        assert!(!engine.image_history(&copy).await.unwrap().is_empty());

        let removed = engine.image_remove(&copy, RemoveImage::default()).await.unwrap();
        assert_eq!(removed.untagged, [copy.as_str()]);
        assert!(removed.deleted.is_empty(), "its other name keeps it");
        assert!(engine.image_list(&query).await.unwrap().is_empty());
        for error in [
            engine.image_inspect(&copy).await.unwrap_err(),
            engine
                .image_remove(&copy, RemoveImage::default())
                .await
                .unwrap_err(),
            engine.image_tag(&copy, &image).await.unwrap_err(),
            engine.image_history(&copy).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }
        scope.finish().await;
    }
}

#[tokio::test]
async fn a_name_without_a_tag_is_latest() {
    let scope = Scope::new("images-latest");
    let engine = engine();
    let image = reference(testkit::image().await);
    let plain = scope.image("copy").replace(":1", "");
    engine.image_tag(&image, &reference(&plain)).await.unwrap();
    let latest = reference(&format!("{plain}:latest"));
    let removed = engine
        .image_remove(&latest, RemoveImage::default())
        .await
        .unwrap();
    assert_eq!(removed.untagged, [latest.as_str()]);
    scope.finish().await;
}

#[tokio::test]
async fn an_image_in_use_stays() {
    for daemon in all_but_podman("spells names with their registry").await {
        let scope = Scope::on(daemon.clone(), "images-used");
        let engine = on(&daemon);
        let used = image(&scope, "used").await;
        let container = scope.create("holder", json!({ "Image": used.as_str() })).await;
        let error = engine
            .image_remove(&used, RemoveImage::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert!(error.to_string().contains(&container[..12]), "{error}");
        let forced = RemoveImage {
            force: true,
            ..RemoveImage::default()
        };
        assert_eq!(
            engine.image_remove(&used, forced).await.unwrap().untagged,
            [used.as_str()]
        );
        scope.finish().await;
    }
}

#[tokio::test]
async fn a_saved_image_can_be_loaded() {
    for daemon in all_but_podman("spells names with their registry").await {
        let scope = Scope::on(daemon.clone(), "images-save");
        let engine = on(&daemon);
        let both = [
            reference(&scope.tag("one").await),
            reference(&scope.tag("two").await),
        ];
        let tar = engine.image_save(&both).await.unwrap();
        let tar: Vec<Bytes> = tar.try_collect().await.unwrap();
        for image in &both {
            engine.image_remove(image, RemoveImage::default()).await.unwrap();
        }
        let tar = futures_util::stream::iter(tar.into_iter().map(Ok));
        let events = all(engine.image_load(tar).await.unwrap()).await;
        for image in &both {
            let loaded = TransferEvent::Status(format!("Loaded image: {image}"));
            assert!(events.contains(&loaded), "{events:?}");
            engine.image_inspect(image).await.unwrap();
        }
        scope.finish().await;
    }
}

#[tokio::test]
async fn what_is_no_image_is_not_loaded() {
    for daemon in all_engines() {
        let garbage = futures_util::stream::iter([Ok(Bytes::from_static(b"this is no archive"))]);
        let outcome = match on(&daemon).image_load(garbage).await {
            Ok(events) => events.try_collect::<Vec<_>>().await.map(drop),
            Err(error) => Err(error),
        };
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Daemon { .. }), "{error}");
    }
}

#[tokio::test]
async fn saving_what_is_not_there() {
    let missing = [reference("dockmaster-test/no-such-image:1")];
    let outcome = match engine().image_save(&missing).await {
        Ok(tar) => tar.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_tree_becomes_an_image() {
    for daemon in all_but_podman("spells names with their registry").await {
        let scope = Scope::on(daemon.clone(), "images-import");
        let engine = on(&daemon);
        let mut tree = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        tree.append_data(&mut header, "hello", &b"hello"[..]).unwrap();
        let tree = Bytes::from(tree.into_inner().unwrap());
        let import = Import {
            reference: Some(reference(&scope.image("tree"))),
            message: Some("made by a test".to_owned()),
            changes: vec!["CMD [\"/hello\"]".to_owned(), "ENV A=1".to_owned()],
            platform: None,
        };
        let tar = futures_util::stream::iter([Ok(tree)]);
        let events: Vec<TransferEvent> = all(engine.image_import(&import, tar).await.unwrap()).await;
        let image = engine
            .image_inspect(&reference(&scope.image("tree")))
            .await
            .unwrap();
        let id = TransferEvent::Status(image["Id"].as_str().unwrap().to_owned());
        assert_eq!(events.last(), Some(&id), "{events:?}");
        assert_eq!(image["Config"]["Cmd"], json!(["/hello"]));
        assert_eq!(image["Comment"], "made by a test");
        scope.finish().await;
    }
}

/// No test reaches the world's registry; what is shown is that its silence comes as an error in time.
#[tokio::test]
async fn a_search_without_a_network_says_so() {
    let found = engine().image_search("busybox", 5, &Filters::new()).await;
    match found {
        Ok(hits) => assert!(!hits.is_empty() && hits.len() <= 5),
        Err(error) => assert!(matches!(error, Error::Daemon { .. }), "{error}"),
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_leaves_the_engine_usable() {
    let engine = engine();
    let image = [reference(testkit::image().await)];
    for _ in 0..20 {
        let mut tar = Box::pin(engine.image_save(&image).await.unwrap());
        tar.next().await.unwrap().unwrap();
    }
    engine.system_ping().await.unwrap();
}
