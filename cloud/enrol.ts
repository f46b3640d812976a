/**
 * Makes a terminal known: mints its key and its broker password, keeps the public half and the hash, and writes the
 * identity file that goes onto the box. The file is the only copy of both secrets.
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mintKey, type PublicKeyJson, publicPart } from '../device/protocol/seal.js'
import { ID_PATTERN } from '../device/protocol/wire.js'
import { passwordHash } from './broker.js'
import type { Store } from './store.js'

export interface Enrolment {
  readonly terminal: string
  readonly brokerUrl: string
  readonly gatewayKey: PublicKeyJson
  /** Written with mode 0600; must not exist yet. */
  readonly identityFile: string
  /** A terminal that is enrolled already is shut out by its new identity; that must be meant. */
  readonly replace?: boolean
  readonly at: number
}

export async function enrol(store: Store, enrolment: Enrolment): Promise<void> {
  const { terminal, brokerUrl, gatewayKey, identityFile, replace = false, at } = enrolment
  if (!ID_PATTERN.test(terminal)) throw new Error(`terminal id "${terminal}" must be 1 to 64 letters, digits, _ or -`)
  if (!replace && await store.terminal(terminal) !== undefined) {
    throw new Error(`${terminal} is enrolled already; --replace shuts out the box that has this id now`)
  }
  const key = await mintKey(terminal)
  const password = randomBytes(32).toString('base64url')
  const identity = { terminal, broker: { url: brokerUrl, username: terminal, password }, key, gatewayKeys: [gatewayKey] }
  writeNew(identityFile, `${JSON.stringify(identity, undefined, 2)}\n`)
  await store.addTerminal({ id: terminal, key: publicPart(key), passwordHash: passwordHash(password) }, at)
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    throw new Error(code === 'EEXIST' ? `${file} exists already and is not overwritten` : `${file} cannot be written (${String(code)})`, { cause })
  }
}
