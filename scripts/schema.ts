/**
 * Writes the JSON Schemas that others read: of the wire, for clouds in any language, and of the configuration, for editors.
 * `npm run schema` writes them, `node dist/scripts/schema.js --check` exits 1 when a file is not what the code says.
 * The files are made from the zod schemas and from nothing else; never edit them by hand.
 */
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import {
  downFilter, DownMessage, downTopic, MESSAGE_BYTES_MAX, Order, shardOf, UP_FILTER_ALL, UpMessage, upTopic, WIRE_VERSION,
} from '../device/protocol/wire.js'
import { ConfigFile, Identity, Profile, Site } from '../firmware-config/schema.js'

export interface SchemaFile {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

export const schemaFiles = (): readonly SchemaFile[] => [
  { path: 'device/protocol/wire.schema.json', text: print(wireSchema()) },
  { path: 'firmware-config/config.schema.json', text: print(configSchema()) },
]

/** The paths whose file under `root` is missing or says something else than the code. */
export const driftIn = (root: string): readonly string[] =>
  schemaFiles().filter(({ path, text }) => read(root + path) !== text).map(({ path }) => path)

type JsonSchema = z.core.JSONSchema.JSONSchema

const DRAFT = 'https://json-schema.org/draft/2020-12/schema'

export function wireSchema(): JsonSchema {
  const { Order: order, UpMessage: up, DownMessage: down } = definitions({ Order, UpMessage, DownMessage })
  return {
    $schema: DRAFT,
    $id: `urn:plinth:wire:${WIRE_VERSION}`,
    title: `Plinth wire, version ${WIRE_VERSION}`,
    description: [
      'Every message between a terminal and a gateway, as it is before it is sealed and after it is opened.',
      'On the wire it is a JWS in compact form (RFC 7515) signed with EdDSA over Ed25519 (RFC 8037), the key named by the header\'s "kid",',
      `at most ${MESSAGE_BYTES_MAX} bytes; MQTT 3.1.1, QoS 1, not retained. Unknown members are ignored.`,
      `Topics: a terminal publishes to ${topic((terminal) => upTopic(terminal, 'hello').replace(/hello$/, '{kind}'))}`,
      `and subscribes to ${topic(downFilter)}; a gateway subscribes to ${UP_FILTER_ALL}.`,
      '{terminal} is the terminal id; {shard} is two hexadecimal digits: the first byte of SHA-256 of the terminal id, modulo 64.',
    ].join(' '),
    oneOf: [{ $ref: '#/$defs/UpMessage' }, { $ref: '#/$defs/DownMessage' }],
    $defs: {
      Order: { ...order, title: 'Order', description: 'What the owner wants paid' },
      UpMessage: {
        ...withTopics(up, UpMessage.options.map(({ shape }) => shape.type.value), upTopic),
        title: 'UpMessage', description: 'What a terminal says',
      },
      DownMessage: {
        ...withTopics(down, DownMessage.options.map(({ shape }) => shape.type.value), downTopic),
        title: 'DownMessage', description: 'What the gateway says',
      },
    },
  }
}

export function configSchema(): JsonSchema {
  const { Profile: profile, Site: site, Identity: identity, ConfigFile: file } = definitions({ Profile, Site, Identity, ConfigFile })
  return {
    $schema: DRAFT,
    $id: 'urn:plinth:config:1',
    title: 'Plinth terminal configuration',
    description: 'The four files of a terminal: the one that --config names, and the profile, site and identity it names.',
    anyOf: ['ConfigFile', 'Profile', 'Site', 'Identity'].map((name) => ({ $ref: `#/$defs/${name}` })),
    $defs: {
      ConfigFile: { ...file, title: 'ConfigFile', description: 'The file that --config names; its paths are relative to itself' },
      Profile: { ...profile, title: 'Profile', description: 'The box: wiring, panel, keypad, register, lamps' },
      Site: { ...site, title: 'Site', description: 'The shop: name, language, currency, payment method' },
      Identity: { ...identity, title: 'Identity', description: 'This terminal: id, broker, keys; mode 0600, never in version control' },
    },
  }
}

/** Each schema once, by name; where one stands inside another it is referred to. */
function definitions<Name extends string>(schemas: Readonly<Record<Name, z.ZodType>>): Readonly<Record<Name, JsonSchema>> {
  const registry = z.registry<{ id: string }>()
  for (const [name, schema] of Object.entries<z.ZodType>(schemas)) registry.add(schema, { id: name })
  const made = z.toJSONSchema(registry, { target: 'draft-2020-12', io: 'input', uri: (id) => `#/$defs/${id}` }).schemas
  // The keys are those of the argument: the registry holds nothing else.
  return Object.fromEntries(Object.entries(made).map(([name, schema]) => [name, bare(schema)])) as Record<Name, JsonSchema>
}

/** What a schema says as a part of a document, not as a document. */
const bare = (schema: JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$schema' && key !== '$id'))

/** Says at each message which topic carries it. The messages of a union and its types are in the same order. */
function withTopics<Type extends string>(
  schema: JsonSchema, types: readonly Type[], topicOf: (terminal: string, type: Type) => string,
): JsonSchema {
  const messages = schema.oneOf ?? []
  if (messages.length !== types.length) throw new Error(`${messages.length} messages in the schema, ${types.length} in the code`)
  return {
    ...schema,
    oneOf: types.map((type, index) => ({
      title: type, description: `Topic ${topic((terminal) => topicOf(terminal, type))}`, ...messages[index],
    })),
  }
}

/** A topic with names in place of the terminal and its shard. */
const topic = (topicOf: (terminal: string) => string): string =>
  topicOf('TERMINAL').replace('/TERMINAL/', '/{terminal}/').replace(`/up/${shardOf('TERMINAL')}/`, '/up/{shard}/')

const print = (schema: JsonSchema): string => `${JSON.stringify(schema, undefined, 2)}\n`

const read = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)

/*-- Program --*/

function main(args: readonly string[]): number {
  // This file runs compiled, from dist/scripts/.
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const unknown = args.filter((arg) => arg !== '--check')
  if (unknown.length > 0) {
    process.stderr.write(`unknown argument ${unknown.join(' ')}; the only one there is: --check\n`)
    return 2
  }
  const drifted = driftIn(root)
  if (args.includes('--check')) {
    for (const path of drifted) process.stderr.write(`${path} is not what the code says; run: npm run schema\n`)
    return drifted.length === 0 ? 0 : 1
  }
  for (const { path, text } of schemaFiles()) {
    if (drifted.includes(path)) writeFileSync(root + path, text)
    process.stdout.write(`${path} ${drifted.includes(path) ? 'written' : 'is up to date'}\n`)
  }
  return 0
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = main(process.argv.slice(2))
}
