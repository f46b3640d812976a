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
}).prefault({}).describe('BCM numbers of the control lines; the defaults are those of Waveshare boards')

const activeLow = z.boolean().default(false).describe('On, or pressed, is the low level')

/** An output that is off when the program starts, stops and dies. */
const output = { pin: pin.describe('BCM number'), activeLow }

/** A lamp on a line of the header, or one that the kernel drives (dtoverlay=gpio-led). */
const light = z.union([
  z.strictObject(output),
  z.strictObject({ led: z.string().regex(/^[A-Za-z0-9:_.-]{1,64}$/, 'a name in /sys/class/leds').describe('Its name in /sys/class/leds') }),
])

/** What a key of a matrix means. */
const key = z.enum(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '00', '000', 'point', 'clear', 'cancel', 'enter', 'none'])

const matrixKeypad = z.strictObject({
  driver: z.literal('matrix'),
  rows: z.array(pin).min(1).max(8).describe('BCM numbers of the lines that are read, pulled up'),
  columns: z.array(pin).min(1).max(8).describe('BCM numbers of the lines that are driven low, one after the other'),
  keys: z.array(z.array(key).min(1).max(8)).min(1).max(8).describe('A row of keys for each of the rows, from the first column on'),
}).refine(({ rows, columns, keys }) => keys.length === rows.length && keys.every((row) => row.length === columns.length),
  { message: 'must have a row for each of rows, and in it a key for each of columns', path: ['keys'] })

const usbNumber = z.string().regex(/^[0-9a-f]{4}$/, 'four hexadecimal digits, such as 04d9')

const usbKeypad = z.strictObject({
  driver: z.literal('usb'),
  device: z.union([
    z.literal('only'),
    z.strictObject({ vendor: usbNumber, product: usbNumber, serial: z.string().min(1).max(126).optional() }),
    z.strictObject({ port: z.string().regex(/^[0-9]+-[0-9]+(\.[0-9]+)*$/, 'a USB port such as 1-1.2') }),
  ]).default('only').describe('Which keypad: the only one there is, one by its USB ids (see lsusb), or whatever is plugged into one port'),
  exclusive: z.boolean().default(true)
    .describe('Takes the keypad away from the kernel, so that its keys reach nothing else; false for one that is not on USB'),
})

/** How many pulses an amount is: one, whatever it is; or one for each `perMinor` of it, as coins would give. */
const pulses = z.union([
  z.literal('one'),
  z.strictObject({
    perMinor: z.int().min(1).max(999_999_999).describe('Minor units a pulse: 1000 is one pulse for each THB 10.00'),
    max: z.int().min(1).max(100).default(100).describe('No amount of more pulses is taken'),
  }),
])

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
    usbKeypad,
    matrixKeypad,
    z.strictObject({ driver: z.literal('bench') }),
  ]).default({ driver: 'none' }),
  buttons: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('none') }),
    z.strictObject({
      driver: z.literal('gpio'),
      buttons: z.record(id, z.strictObject({ pin: pin.describe('BCM number'), activeLow: activeLow.default(true) }))
        .refine((buttons) => Object.keys(buttons).length >= 1 && Object.keys(buttons).length <= 16, 'must be 1 to 16 buttons')
        .describe('Buttons by the name under which the site gives them a price'),
    }),
  ]).default({ driver: 'none' }).describe('One button, one price'),
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
    z.strictObject({ driver: z.literal('single'), light, buzzer: light.optional() }),
    z.strictObject({ driver: z.literal('rgb'), red: light, green: light, blue: light, buzzer: light.optional() }),
    z.strictObject({ driver: z.literal('ring'), lights: z.array(light).min(2).max(16).describe('In the order they stand'), buzzer: light.optional() }),
    z.strictObject({ driver: z.literal('bench') }),
  ]).default({ driver: 'none' }),
  release: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('none') }),
    z.strictObject({ driver: z.literal('log'), pulses: pulses.prefault('one') }),
    z.strictObject({
      driver: z.literal('pulse'),
      ...output,
      widthMs: z.int().min(10).max(10_000).default(100).describe('How long a pulse lasts'),
      gapMs: z.int().min(10).max(10_000).default(100).describe('At least this long between two pulses'),
      pulses: pulses.prefault('one'),
      feedback: z.strictObject({
        pin: pin.describe('BCM number'), activeLow: activeLow.default(true),
        withinMs: z.int().min(100).max(60_000).default(10_000).describe('From the first pulse on; after that the delivery is unknown'),
      }).optional().describe('A sensor that sees the goods fall, or the gate open'),
    }),
  ]).default({ driver: 'none' }).describe('What lets the goods out once a sale is paid'),
  gpio: z.strictObject({
    base: z.int().min(0).max(4096).optional().describe('The number of line 0, where the terminal cannot find it by itself'),
    chip: z.string().min(1).max(64).optional().describe('The label of the chip that the header is on, where it is not a Raspberry Pi\'s'),
  }).prefault({}),
  bench: z.strictObject({
    url: z.url({ protocol: /^wss?$/ }).describe('The bench that plays the hardware'),
  }).optional().describe('Needed when any driver is "bench"'),
}).superRefine(refuseSharedPins)
export type Profile = z.infer<typeof Profile>
/** As a file says it: what has a default may be left out. */
export type ProfileFile = z.input<typeof Profile>

/** Two parts on one line of the header fight over it. */
function refuseSharedPins(profile: object, context: z.RefinementCtx): void {
  const users = new Map<number, string>()
  for (const { number, path } of pinsIn(profile, [])) {
    const first = users.get(number)
    if (first === undefined) users.set(number, path.join('.'))
    else context.addIssue({ code: 'custom', path: [...path], message: `line ${number} is already that of ${first}`, input: number })
  }
}

const PIN_KEYS = ['pin', 'reset', 'dc', 'busy', 'power', 'rows', 'columns']

function* pinsIn(value: unknown, path: readonly string[]): Generator<{ number: number; path: readonly string[] }> {
  if (typeof value === 'number' && path.some((name) => PIN_KEYS.includes(name))) yield { number: value, path }
  if (!(value instanceof Object)) return
  for (const [name, inner] of Object.entries(value)) yield* pinsIn(inner, [...path, name])
}

/** As a person writes it, such as 20.00; what it means in the site's currency is checked with it. */
const price = z.string().regex(/^[0-9]{1,9}(\.[0-9]{1,3})?$/, 'an amount such as "20.00"')

export const Site = z.strictObject({
  $schema: z.string().optional(),
  shopName: z.string().min(1).max(40).regex(/^[^\p{Cc}\u2028\u2029]*$/u, 'one line of text, without tabs and control characters').describe('As the customer reads it'),
  language: z.enum(['en', 'th', 'zh', 'ms']).default('en').describe('First language on the panel; English stands beside it'),
  country: z.enum(['TH', 'SG', 'MY']),
  currency: z.enum(['THB', 'SGD', 'MYR']),
  method: z.enum(['alipayplus_mpm', 'promptpay']).default('alipayplus_mpm'),
  prices: z.record(id, price).default({}).describe('What each of the profile\'s buttons costs'),
  usual: z.strictObject({ from: price.optional(), to: price.optional() }).optional()
    .describe('Amounts outside of this are asked about once more before they are charged: 250.00 is easily typed as 2500.00'),
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
