import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { DownMessage, Order, UpMessage } from '../../device/protocol/wire.js'
import { ConfigFile, Identity, Profile, Site } from '../../firmware-config/schema.js'
import { configSchema, driftIn, schemaFiles, wireSchema } from '../../scripts/schema.js'

const root = `${join(import.meta.dirname, '../..')}/`
const read = (path: string): unknown => JSON.parse(readFileSync(root + path, 'utf8'))

describe('the shipped JSON Schemas', () => {
  test('say what the code says (else: npm run schema)', () => expect(driftIn(root)).toEqual([]))

  test('drift when one byte of them is another, or one is missing', () => {
    const copy = `${mkdtempSync(join(tmpdir(), 'plinth-schema-'))}/`
    const [wire, config] = schemaFiles()
    for (const { path } of schemaFiles()) cpSync(root + path, copy + path)
    expect(driftIn(copy)).toEqual([])
    writeFileSync(copy + (wire?.path ?? ''), wire?.text.replace('"sale.open"', '"sale.opem"') ?? '')
    rmSync(copy + (config?.path ?? ''))
    expect(driftIn(copy)).toEqual([wire?.path, config?.path])
    rmSync(copy, { recursive: true })
  })

  test('hold references that lead somewhere', () => {
    for (const schema of [wireSchema(), configSchema()]) {
      const references = [...JSON.stringify(schema).matchAll(/"\$ref":"#\/\$defs\/([^"]+)"/g)].map(([, name]) => name)
      expect(references.length).toBeGreaterThan(1)
      for (const name of references) expect(Object.keys(schema.$defs ?? {})).toContain(name)
    }
  })
})

describe('the schema of the wire', () => {
  test('has every message, and at each the topic that carries it', () => {
    const { Order: order, UpMessage: up, DownMessage: down } = definitionsOf(wireSchema())
    const topics = [...list(up?.oneOf), ...list(down?.oneOf)].map(({ title, description }) => `${title}: ${description}`)
    expect(topics).toEqual([
      'hello: Topic plinth/1/{terminal}/up/{shard}/hello',
      'sale.open: Topic plinth/1/{terminal}/up/{shard}/sale',
      'sale.ask: Topic plinth/1/{terminal}/up/{shard}/sale',
      'sale.close: Topic plinth/1/{terminal}/up/{shard}/sale',
      'sale.undelivered: Topic plinth/1/{terminal}/up/{shard}/sale',
      'gone: Topic plinth/1/{terminal}/up/{shard}/gone',
      'welcome: Topic plinth/1/{terminal}/dn/welcome',
      'sale.offer: Topic plinth/1/{terminal}/dn/sale',
      'sale.verdict: Topic plinth/1/{terminal}/dn/sale',
      'sale.reversed: Topic plinth/1/{terminal}/dn/sale',
    ])
    for (const [at, { properties }] of list(up?.oneOf).entries()) {
      expect(properties?.['type']).toMatchObject({ const: UpMessage.options[at]?.shape.type.value })
    }
    expect(order?.required).toEqual(Object.keys(Order.shape))
    expect(UpMessage.options).toHaveLength(6)
    expect(DownMessage.options).toHaveLength(4)
  })
})

describe('the schema of the configuration, read back by a program that has only the file', () => {
  const { $defs } = read('firmware-config/config.schema.json') as { $defs: Record<string, object> } // As configSchema() made it.
  const accepts = (name: string, value: unknown): boolean =>
    // The cast: zod reads a document of its own type, and this is one that was read from a file.
    z.fromJSONSchema({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...$defs[name] } as Parameters<typeof z.fromJSONSchema>[0])
      .safeParse(value).success

  test.each(readdirSync(`${root}firmware-config/profiles`))('accepts the profile %s, as the code does', (name) => {
    const profile = read(`firmware-config/profiles/${name}`)
    expect(Profile.safeParse(profile).error).toBeUndefined()
    expect(accepts('Profile', profile)).toBe(true)
    expect(accepts('Profile', { ...record(profile), colour: 1 })).toBe(false)
  })

  test.each([['ConfigFile', ConfigFile, 'terminal'], ['Site', Site, 'site'], ['Identity', Identity, 'identity']] as const)(
    'accepts the example of a %s, as the code does', (name, schema, file) => {
      const example = read(`firmware-config/provisioning/${file}.example.json`)
      expect(schema.safeParse(example).error).toBeUndefined()
      expect(accepts(name, example)).toBe(true)
      expect(accepts(name, { ...record(example), colour: 1 })).toBe(false)
      expect(accepts(name, {})).toBe(false)
    })

  test('every shipped file says where its schema is', () => {
    const files = ['profiles', 'provisioning'].flatMap((folder) =>
      readdirSync(`${root}firmware-config/${folder}`).filter((name) => name.endsWith('.json')).map((name) => `firmware-config/${folder}/${name}`))
    expect(files.length).toBeGreaterThan(5)
    for (const file of files) expect(record(read(file))['$schema']).toBe('../config.schema.json')
  })
})

type JsonSchema = z.core.JSONSchema.JSONSchema

const list = (schemas: readonly JsonSchema[] | undefined): readonly JsonSchema[] => schemas ?? []
const record = (value: unknown): Record<string, unknown> => z.record(z.string(), z.unknown()).parse(value)

function definitionsOf({ $defs }: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return Object.fromEntries(Object.entries($defs ?? {}).flatMap(([name, schema]) => (typeof schema === 'boolean' ? [] : [[name, schema]])))
}
