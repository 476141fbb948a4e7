"""The read part of W&B's GraphQL schema, and older forms of it."""

from __future__ import annotations

from collections.abc import Collection

from graphql import GraphQLObjectType, GraphQLSchema, build_schema

from . import artifacts

SDL = """
scalar Int64
scalar DateTime
scalar JSON
scalar JSONString

type Query {
  viewer: User
  entity(name: String!): Entity
  project(name: String, entityName: String): Project
  model(name: String, entityName: String): Project
  models(entityName: String, first: Int, after: String, order: String): ProjectConnection
  organization(name: String!): Organization
  serverInfo: ServerInfo
}

type ServerInfo { cliVersionInfo: JSON, latestLocalVersionInfo: LocalVersion, features: [ServerFeature!]! }
type LocalVersion { outOfDate: Boolean!, latestVersionString: String!, versionOnThisInstanceString: String! }
type ServerFeature { name: String!, isEnabled: Boolean! }
enum RampIDType { OrgName EntityName Username }
type Organization { id: ID!, name: String!, featureFlags(rampIDType: RampIDType): [FeatureFlag!]!, orgEntity: Entity }
type FeatureFlag { rampKey: String!, isEnabled: Boolean! }
type PageInfo { endCursor: String, hasNextPage: Boolean!, startCursor: String, hasPreviousPage: Boolean }

type User {
  id: ID!
  name: String!
  username: String
  email: String
  entity: String
  admin: Boolean
  flags: JSONString
  deletedAt: DateTime
  photoUrl: String
  apiKeys: ApiKeyConnection
  teams(first: Int): EntityConnection
}
type ApiKeyConnection { edges: [ApiKeyEdge!]! }
type ApiKeyEdge { node: ApiKey }
type ApiKey { id: ID!, name: String!, description: String }
type EntityConnection { edges: [EntityEdge!]! }
type EntityEdge { node: Entity }
type Entity {
  id: ID!
  name: String!
  isTeam: Boolean!
  organization: Organization
  projects(first: Int, after: String): ProjectConnection
}

type ProjectConnection { edges: [ProjectEdge!]!, pageInfo: PageInfo! }
type ProjectEdge { node: Project, cursor: String! }
type Project {
  id: ID!
  internalId: ID!
  name: String!
  entityName: String!
  entity: Entity!
  description: String
  createdAt: DateTime!
  updatedAt: DateTime
  isBenchmark: Boolean!
  readOnly: Boolean
  access: String
  user: User
  runCount(filters: JSONString): Int!
  runs(filters: JSONString, order: String, first: Int, after: String, before: String, last: Int): RunConnection
  run(name: String!): Run
  bucket(name: String!, missingOk: Boolean): Run
  totalSweeps: Int!
  sweeps(filters: JSONString, first: Int, after: String): SweepConnection
  sweep(sweepName: String!): Sweep
}

type RunConnection { edges: [RunEdge!]!, pageInfo: PageInfo!, totalCount: Int! }
type RunEdge { node: Run!, cursor: String! }
type Run {
  id: ID!
  projectId: ID!
  project: Project
  name: String!
  displayName: String
  state: String
  tags: [String!]
  group: String
  jobType: String
  sweepName: String
  sweep: Sweep
  commit: String
  host: String
  readOnly: Boolean
  createdAt: DateTime!
  updatedAt: DateTime
  heartbeatAt: DateTime
  computeSeconds: Int
  description: String
  notes: String
  user: User
  exitcode: Int
  stopped: Boolean
  failed: Boolean
  running: Boolean
  shouldStop: Boolean
  config(keys: [String!]): JSONString
  wandbConfig(keys: [String!]): JSONString
  summaryMetrics(keys: [String!]): JSONString
  systemMetrics: JSONString
  historyKeys: JSON
  historyLineCount: Int
  eventsLineCount: Int
  logLineCount: Int
  historyTail: JSONString
  eventsTail: JSONString
  history(minStep: Int64, maxStep: Int64, samples: Int): [String!]!
  sampledHistory(specs: [JSONString!]!, packVersion: Int): [JSON!]!
  parquetHistory(liveKeys: [String!]!): ParquetHistory!
  events(samples: Int): [String!]!
  logLines(first: Int, last: Int, after: String, useImprovedPagination: Boolean): LogLineConnection
  fileCount: Int
  files(names: [String] = [], pattern: String, first: Int, after: String): FileConnection
}
type ParquetHistory { parquetUrls: [String!]!, liveData: [JSON!]! }
type LogLineConnection { edges: [LogLineEdge!]!, pageInfo: PageInfo! }
type LogLineEdge { node: LogLine, cursor: String }
type LogLine { number: Int!, timestamp: String, level: String, label: String, line: String! }

type FileConnection { edges: [FileEdge!]!, pageInfo: PageInfo!, totalCount: Int! }
type FileEdge { node: File, cursor: String! }
type File {
  id: ID!
  name: String!
  displayName: String
  url(upload: Boolean): String
  directUrl: String
  sizeBytes: Int64
  mimetype: String
  updatedAt: DateTime
  md5: String
}

type SweepConnection { edges: [SweepEdge!]!, pageInfo: PageInfo! }
type SweepEdge { node: Sweep!, cursor: String! }
type Sweep {
  id: ID!
  name: String!
  displayName: String
  method: String!
  state: String!
  description: String
  bestLoss: Float
  config: String!
  createdAt: DateTime!
  updatedAt: DateTime
  runCount: Int!
  runCountExpected: Int
  runs(filters: JSONString, order: String, first: Int, after: String): RunConnection
}
"""

# What servers of a few years ago did not have yet: fields as "Type.field", arguments as "Type.field(argument)".
OLD_SERVER = frozenset(
    {
        "Run.historyKeys",
        "Run.parquetHistory",
        "Run.summaryMetrics(keys)",
        "Run.config(keys)",
        "Run.historyLineCount",
        "Run.files(pattern)",
        "Run.logLines",
        "Project.runCount(filters)",
        "Sweep.displayName",
        "Sweep.runCount",
    }
)


def make_schema(without: Collection[str] = ()) -> GraphQLSchema:
    """Return the schema, less the fields and arguments of `without`."""
    schema = build_schema(SDL + artifacts.SDL)
    for name in without:
        owner, _, rest = name.partition(".")
        field, _, argument = rest.rstrip(")").partition("(")
        kind = schema.type_map[owner]
        if not isinstance(kind, GraphQLObjectType):
            raise TypeError(f"{owner} is no object type")
        if argument:
            del kind.fields[field].args[argument]
        else:
            del kind.fields[field]
    return schema
