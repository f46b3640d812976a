/**
 * The only definition of a legal terminal configuration: types, ranges, units, defaults. Pure; imports nothing of ours.
 *
 * Three layers, each of which may set only its own part:
 *   profile   the box: wiring, panel, keypad, register, lamps        (ships with the firmware)
 *   site      the shop: name, language, currency, payment method
 *   identity  this terminal: id, broker, keys                        (made at enrolment, 0600, never in git)
 */
import { z } from 'zod'

const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, _ and -, 1 to 64 of them')
const path = z.string().min(1).max(4096)

/** Addresses are logged: a name and a password in one would be, too. */
function withoutLogin(address: string): boolean {
  if (!URL.canParse(address)) return true // The schema says so by itself.
  const { username, password } = new URL(address)
  return username === '' && password === ''
}

const panelSize = {
  widthPx: z.int().min(64).max(4096).describe('Dots from left to right'),
  heightPx: z.int().min(64).max(4096).describe('Dots from top to bottom'),
  pitchMm: z.number().min(0.05).max(2).describe('Millimetres between neighbouring dots'),
}

export const Profile = z.strictObject({
  $schema: z.string().optional(),
  note: z.string().max(400).optional().describe('What box this is, for people'),
  panel: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('png'), directory: path.describe('Where each picture is written'), ...panelSize }),
    z.strictObject({ driver: z.literal('bench'), ...panelSize }),
  ]).describe('What shows the code'),
  keypad: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('none') }),
    z.strictObject({ driver: z.literal('stdin') }),
    z.strictObject({ driver: z.literal('bench') }),
  ]).default({ driver: 'none' }),
  register: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('none') }),
    z.strictObject({
      driver: z.literal('line'),
      path: path.describe('A tty or pty; on a box use its /dev/serial/by-id name'),
      baud: z.union([z.literal(1200), z.literal(2400), z.literal(4800), z.literal(9600), z.literal(19200), z.literal(38400),
        z.literal(57600), z.literal(115200)]).default(9600),
    }),
  ]).default({ driver: 'none' }),
  lamps: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('none') }),
    z.strictObject({ driver: z.literal('log') }),
    z.strictObject({ driver: z.literal('bench') }),
  ]).default({ driver: 'none' }),
  bench: z.strictObject({
    url: z.url({ protocol: /^wss?$/ }).describe('The bench that plays the hardware'),
  }).optional().describe('Needed when any driver is "bench"'),
})
export type Profile = z.infer<typeof Profile>

export const Site = z.strictObject({
  $schema: z.string().optional(),
  shopName: z.string().min(1).max(40).describe('As the customer reads it'),
  language: z.enum(['en', 'th', 'zh', 'ms']).default('en').describe('First language on the panel; English stands beside it'),
  country: z.enum(['TH', 'SG', 'MY']),
  currency: z.enum(['THB', 'SGD', 'MYR']),
  method: z.enum(['alipayplus_mpm', 'promptpay']).default('alipayplus_mpm'),
})
export type Site = z.infer<typeof Site>

const publicKey = {
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  kid: z.string().min(1).max(64),
  x: z.base64url().length(43),
}

export const Identity = z.strictObject({
  $schema: z.string().optional(),
  terminal: id.describe('This terminal, everywhere'),
  broker: z.strictObject({
    url: z.url({ protocol: /^mqtts?$/ }).refine(withoutLogin, 'must be an address without a name and a password in it')
      .describe('mqtt://host:1883 or mqtts://host:8883'),
    username: z.string().min(1).max(128),
    password: z.string().min(8).max(256),
    caFile: path.optional().describe('The only authority trusted for mqtts, as PEM'),
  }),
  key: z.strictObject({ ...publicKey, d: z.base64url().length(43) }).describe('This terminal signs with it'),
  gatewayKeys: z.array(z.strictObject(publicKey)).min(1).max(4).describe('The gateway signs with one of these'),
})
export type Identity = z.infer<typeof Identity>

/** The file that `--config` names. Paths are relative to that file; a profile may also be the name of a shipped one. */
export const ConfigFile = z.strictObject({
  $schema: z.string().optional(),
  profile: path,
  site: path,
  identity: path,
  journal: path.default('journal.sqlite').describe('The crash-safe record of this terminal'),
  log: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})
export type ConfigFile = z.infer<typeof ConfigFile>

export interface Config {
  readonly profile: Profile
  readonly site: Site
  readonly identity: Identity
  readonly journal: string
  readonly log: ConfigFile['log']
}
