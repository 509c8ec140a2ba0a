//! Networks on real engines.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use crate::here::{engine, is_podman, on};
use base::names::{ContainerRef, NetworkRef};
use engine::models::{Ipam, IpamConfig, NetworkCreateRequest};
use engine::ops::networks::{Join, Leave};
use engine::{Error, Filters};
use std::collections::HashMap;
use testkit::{Scope, all_engines};

fn request(scope: &Scope, what: &str) -> NetworkCreateRequest {
    let labels = HashMap::from([(Scope::KEY.to_owned(), scope.value().to_owned())]);
    NetworkCreateRequest {
        name: scope.name(what),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    }
}

fn network(name: &str) -> NetworkRef {
    NetworkRef::parse(name).unwrap()
}

#[tokio::test]
async fn a_network_from_its_making_to_its_removal() {
    for daemon in all_engines() {
        let scope = Scope::on(daemon.clone(), "network");
        let engine = on(&daemon);
        let created = engine.network_create(&request(&scope, "net")).await.unwrap();
        assert_eq!(created.id.len(), 64);
        let name = network(&scope.name("net"));
        let inspected = engine.network_inspect(&name).await.unwrap();
        assert_eq!(inspected["Id"], created.id);
        assert_eq!(inspected["Driver"], "bridge");

        let listed = engine
            .network_list(&Filters::new().with("label", scope.label()))
            .await
            .unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["Name"], name.as_str());

        engine.network_remove(&name).await.unwrap();
        assert!(matches!(
            engine.network_inspect(&name).await,
            Err(Error::NotFound { .. })
        ));
        scope.finish().await;
    }
}

#[tokio::test]
async fn no_two_networks_of_one_name() {
    for daemon in all_engines() {
        let scope = Scope::on(daemon.clone(), "network-twice");
        let engine = on(&daemon);
        engine.network_create(&request(&scope, "net")).await.unwrap();
        let again = engine.network_create(&request(&scope, "net")).await.unwrap_err();
        assert!(matches!(again, Error::Conflict { .. }), "{again}");
        assert!(again.to_string().contains("already exists"), "{again}");
        scope.finish().await;
    }
}

#[tokio::test]
async fn a_container_joins_and_leaves() {
    for daemon in all_engines() {
        let scope = Scope::on(daemon.clone(), "network-join");
        let engine = on(&daemon);
        let subnet = IpamConfig {
            subnet: Some("10.231.17.0/24".to_owned()),
            ..IpamConfig::default()
        };
        let ipam = Ipam {
            config: Some(vec![subnet]),
            ..Ipam::default()
        };
        let create = NetworkCreateRequest {
            ipam: Some(ipam),
            ..request(&scope, "net")
        };
        engine.network_create(&create).await.unwrap();
        let name = network(&scope.name("net"));
        let container = ContainerRef::parse(&scope.run("box", &["sleep", "1000"]).await).unwrap();

        let join = Join {
            aliases: vec!["db".to_owned()],
            ipv4: "10.231.17.9".parse().ok(),
            ipv6: None,
        };
        engine.network_connect(&name, &container, &join).await.unwrap();
        let inspected = engine.container_inspect(&container).await.unwrap();
        let joined = &inspected["NetworkSettings"]["Networks"][name.as_str()];
        assert_eq!(joined["IPAddress"], "10.231.17.9");
        assert!(
            joined["Aliases"].as_array().unwrap().contains(&"db".into()),
            "{joined}"
        );

        let in_use = engine.network_remove(&name).await.unwrap_err();
        assert!(
            matches!(in_use, Error::Conflict { .. } | Error::Daemon { status: 403, .. }),
            "{in_use}"
        );
        if is_podman(&engine).await {
            eprintln!("the rest not on Podman, which says it in words of its own");
            scope.finish().await;
            continue;
        }
        assert!(in_use.to_string().contains("has active endpoints"), "{in_use}");
        let twice = engine
            .network_connect(&name, &container, &Join::default())
            .await
            .unwrap_err();
        assert!(twice.to_string().contains("already exists in network"), "{twice}");

        engine
            .network_disconnect(&name, &container, Leave::Orderly)
            .await
            .unwrap();
        let gone = engine
            .network_disconnect(&name, &container, Leave::Orderly)
            .await
            .unwrap_err();
        assert!(gone.to_string().contains("is not connected to"), "{gone}");
        scope.finish().await;
    }
}

#[tokio::test]
async fn a_container_that_is_not_there_cannot_join() {
    let scope = Scope::new("network-nobody");
    let engine = engine();
    engine.network_create(&request(&scope, "net")).await.unwrap();
    let name = network(&scope.name("net"));
    let nobody = ContainerRef::parse("dmt-nobody-of-that-name").unwrap();
    let error = engine
        .network_connect(&name, &nobody, &Join::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    // A forced leave is for what remains of a container that is gone.
    let error = engine
        .network_disconnect(&name, &nobody, Leave::Forced)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("dmt-nobody-of-that-name"), "{error}");
    scope.finish().await;
}
