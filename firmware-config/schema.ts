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
  widthPx: z.int().min(64).max(4096).describe('Dots from left to right, as it is looked at'),
  heightPx: z.int().min(64).max(4096).describe('Dots from top to bottom, as it is looked at'),
  pitchMm: z.number().min(0.05).max(2).describe('Millimetres between neighbouring dots'),
}

/** As the tables of the drivers name them; test/drivers/open.test.ts holds that they are the same. */
export const EINK_MODELS = [
  'waveshare-1in54-v2', 'waveshare-2in13-v4', 'waveshare-2in7-v2', 'waveshare-2in9-v1', 'waveshare-2in9-v2', 'waveshare-2in9-d',
  'gdey029t94', 'waveshare-4in2-v2', 'inky-what', 'waveshare-4in26', 'waveshare-7in5-v2', 'waveshare-7in5-v2-old',
] as const

const rotation = z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]).default(0)
  .describe('Degrees by which an upright picture is turned, with the clock, for the panel as it is mounted')

/** 0 and 1 belong to the memory of an add-on board. */
const pin = z.int().min(2).max(27)

const einkPins = z.strictObject({
  reset: pin.default(17),
  dc: pin.default(25),
  busy: pin.default(24),
  power: z.union([pin, z.literal('none')]).default(18).describe('Switches newer boards on; "none" where nothing is wired to it'),
}).refine((pins) => new Set(Object.values(pins)).size === 4, 'must be four different lines')
  .prefault({}).describe('BCM numbers of the control lines; the defaults are those of Waveshare boards')

export const Profile = z.strictObject({
  $schema: z.string().optional(),
  note: z.string().max(400).optional().describe('What box this is, for people'),
  panel: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('png'), directory: path.describe('Where each picture is written'), ...panelSize }),
    z.strictObject({
      driver: z.literal('eink'),
      model: z.enum(EINK_MODELS).describe('Which glass and controller it is'),
      spi: z.string().regex(/^\/dev\/spidev[0-9]+\.[0-9]+$/, 'an SPI device such as /dev/spidev0.0').default('/dev/spidev0.0'),
      pins: einkPins,
      gpioBase: z.int().min(0).max(4096).optional().describe('The number of line 0, where the terminal cannot find it by itself'),
      rotation,
      ...panelSize,
    }),
    z.strictObject({
      driver: z.literal('framebuffer'),
      device: z.string().regex(/^(\/dev\/fb[0-9]{1,2}|[^/]{1,15})$/, 'the name of a framebuffer, or a path such as /dev/fb1')
        .describe('Its name in /sys/class/graphics/fb*/name, such as panel-mipi-dbid or vc4drmfb; or /dev/fb1, a number that may change'),
      rotation,
      ...panelSize,
    }),
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
  shopName: z.string().min(1).max(40).regex(/^[^\p{Cc}\u2028\u2029]*$/u, 'one line of text, without tabs and control characters').describe('As the customer reads it'),
  language: z.enum(['en', 'th', 'zh', 'ms']).default('en').describe('First language on the panel; English stands beside it'),
  country: z.enum(['TH', 'SG', 'MY']),
  currency: z.enum(['THB', 'SGD', 'MYR']),
  method: z.enum(['alipayplus_mpm', 'promptpay']).default('alipayplus_mpm'),
  mark: z.strictObject({
    file: path.describe('As the brand supplied it: a square PNG, 16 to 512 dots wide and of up to 64 KB'),
  }).optional().describe('The brand\'s mark in the middle of the code, where there is room for it; without it codes are plain'),
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
