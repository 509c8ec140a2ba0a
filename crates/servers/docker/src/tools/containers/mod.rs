//! Containers: their life, looking at them, running things in them.

mod change;
mod create;
pub(crate) mod digest;
mod exec;
mod files;
mod inspect;
mod lifecycle;
mod list;
mod logs;
mod look;
mod recreate;
mod stats;
pub(crate) mod wait;

use crate::tools::Tool;

/// The tools of this group, in the order of the list.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::of::<create::CreateContainer>(),
    Tool::of::<lifecycle::StartContainer>(),
    Tool::of::<lifecycle::StopContainer>(),
    Tool::of::<lifecycle::RestartContainer>(),
    Tool::of::<lifecycle::RemoveContainer>(),
    Tool::of::<lifecycle::PauseContainer>(),
    Tool::of::<lifecycle::UnpauseContainer>(),
    Tool::of::<list::ListContainers>(),
    Tool::of::<inspect::InspectContainer>(),
    Tool::of::<stats::GetContainerStats>(),
    Tool::of::<logs::MonitorContainerLogs>(),
    Tool::of::<exec::ExecuteCommandInContainer>(),
    Tool::of::<files::CopyFilesToContainer>(),
    Tool::of::<files::CopyFilesFromContainer>(),
    Tool::of::<lifecycle::RenameContainer>(),
    Tool::of::<lifecycle::KillContainer>(),
    Tool::of::<wait::WaitContainer>(),
    Tool::of::<look::DiagnoseContainer>(),
    Tool::of::<look::TopContainer>(),
    Tool::of::<look::DiffContainer>(),
    Tool::of::<change::UpdateContainer>(),
    Tool::of::<recreate::RecreateContainer>(),
    Tool::of::<change::CommitContainer>(),
    Tool::of::<change::PruneContainers>(),
    Tool::of::<files::StatContainerPath>(),
    Tool::of::<files::ExportContainer>(),
    Tool::of::<exec::StartExecSession>(),
    Tool::of::<exec::ReadExecSession>(),
    Tool::of::<exec::WriteExecSession>(),
    Tool::of::<exec::EndExecSession>(),
];
