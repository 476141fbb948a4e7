"""The part of W&B's artifact API that reading a run's artifacts needs: their list, their manifests, their files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from .answers import Request, connection, moment
from .store import EPOCH, Artifact, Project, Run, Store

SDL = """
extend type Query { artifact(id: ID!): Artifact }
extend type Run {
  outputArtifacts(after: String, first: Int): ArtifactConnection
  inputArtifacts(after: String, first: Int): ArtifactConnection
}
type ArtifactConnection { totalCount: Int!, pageInfo: PageInfo!, edges: [ArtifactEdge!]! }
type ArtifactEdge { node: Artifact, cursor: String! }
type Artifact {
  id: ID!
  artifactSequence: ArtifactSequence!
  versionIndex: Int
  artifactType: ArtifactType!
  description: String
  metadata: JSONString
  ttlDurationSeconds: Int64
  ttlIsInherited: Boolean!
  tags: [Tag!]!
  historyStep: Int64
  state: String!
  size: Int64!
  digest: String!
  digestAlgorithm: String
  commitHash: String
  fileCount: Int64!
  createdAt: DateTime!
  updatedAt: DateTime
  aliases: [ArtifactAlias!]!
  currentManifest: ArtifactManifest
}
interface ArtifactCollection { name: String!, project: Project }
type ArtifactSequence implements ArtifactCollection { name: String!, project: Project }
type ArtifactType { name: String! }
type Tag { id: ID!, name: String! }
type ArtifactAlias { id: ID!, alias: String!, artifactCollection: ArtifactCollection }
type ArtifactManifest { file: ManifestFile! }
type ManifestFile { directUrl: String! }
"""


def output_artifacts(run: Run, request: Request, first: int | None = None, after: str | None = None) -> dict[str, Any]:
    """Answer `Run.outputArtifacts`."""
    return connection([(run, artifact) for artifact in run.artifacts], request, first, after)


def input_artifacts(run: Run, request: Request, first: int | None = None, after: str | None = None) -> dict[str, Any]:
    """Answer `Run.inputArtifacts`."""
    return connection([(run, artifact) for artifact in run.used], request, first, after)


def by_id(_: Any, request: Request, id: str) -> tuple[Run, Artifact] | None:  # noqa: A002 - the schema's word
    """Answer `Query.artifact`."""
    every = ((run, artifact) for home in request.store.projects.values() for run in home.runs.values()
             for artifact in run.artifacts)  # fmt: skip
    return next((found for found in every if _id(*found) == id), None)


def _id(run: Run, artifact: Artifact) -> str:
    return base64.b64encode(f"Artifact:{run.id}:{artifact.name}:{artifact.version}".encode()).decode()


def _manifest_path(owner: tuple[Run, Artifact]) -> str:
    run, artifact = owner
    return f"artifacts/{run.home.entity}/{run.home.name}/{run.id}/{artifact.name}:v{artifact.version}"


def manifest(run: Run, name: str) -> bytes | None:
    """Return the manifest that storage has under ``NAME:vN``, None where there is none."""
    for artifact in run.artifacts:
        if f"{artifact.name}:v{artifact.version}" == name:
            contents = {file.name: {"digest": file.md5, "size": file.size} for file in artifact.files}
            policy = {"storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}}
            return json.dumps({"version": 1, **policy, "contents": contents}).encode()
    return None


def file_at(store: Store, path: str) -> bytes | None:
    """Return what ``/artifactsV2/REGION/ENTITY/PROJECT/COLLECTION/.../MD5/NAME`` leads to."""
    parts = path.split("/")
    if len(parts) < 7:
        return None
    home: Project | None = store.projects.get((parts[2], parts[3]))
    digest = base64.b64encode(bytes.fromhex(parts[-2])).decode()
    runs = home.runs.values() if home else ()
    files = (file for run in runs for one in run.artifacts if one.name == parts[4] for file in one.files)
    return next((file.data for file in files if file.md5 == digest), None)


ARTIFACT: dict[str, Callable[..., Any]] = {
    "id": lambda owner, _: _id(*owner),
    "artifactSequence": lambda owner, _: owner,
    "versionIndex": lambda owner, _: owner[1].version,
    "artifactType": lambda owner, _: {"name": owner[1].kind},
    "metadata": lambda owner, _: "{}",
    "ttlDurationSeconds": lambda owner, _: -1,
    "ttlIsInherited": lambda owner, _: True,
    "tags": lambda owner, _: [],
    "state": lambda owner, _: "COMMITTED",
    "size": lambda owner, _: sum(file.size for file in owner[1].files),
    "digest": lambda owner, _: f"{owner[1].version:032x}",
    "digestAlgorithm": lambda owner, _: "MANIFEST_MD5",
    "commitHash": lambda owner, _: f"{owner[1].version:040x}",
    "fileCount": lambda owner, _: len(owner[1].files),
    "createdAt": lambda owner, _: moment(EPOCH),
    "aliases": lambda owner, _: [],
    "currentManifest": lambda owner, request: {"file": {"directUrl": request.signed_url(_manifest_path(owner))}},
}
SEQUENCE: dict[str, Callable[..., Any]] = {
    "name": lambda owner, _: owner[1].name,
    "project": lambda owner, _: owner[0].home,
}
