/**
 * What `plinth doctor` asks the kernel about a box, profile in hand: GPIO chip and lines, USB keypad, serial lines, SPI, memory,
 * groups, consoles. Nothing here moves anything: outputs are opened at their safe level and given back. A terminal that is
 * running has these lines: the probes that are for `alone` must not run beside one.
 */
import { join } from 'node:path'
import type { Profile } from '../firmware-config/schema.js'
import { bad, badlySaid, type Finding, good, type Probe, sentenceOf, skipped, unsure } from './finding.js'
import { type Hid, loadHid } from './keypad/hid.js'
import { chooseKeypad, describeKeypad, listKeypads } from './keypad/usb-keypads.js'
import { createUsbTree, type UsbTree } from './keypad/usb-tree.js'
import {
  type Access, accessAt, boardName, framebufferConsole, groupIds, kernelConsoles, loginOn, memoryMb, serialPorts, textAt, ttyOf,
} from './linux/box.js'
import { headerChip } from './linux/gpio-chip.js'
import { codeOf } from './linux/gpio-line.js'
import { type Board, boardOf } from './linux/gpio.js'
import type { LightWire } from './linux/led.js'
import { outputsOf } from './open.js'

export interface ProbeTools {
  /** / but in the tests. */
  readonly root: string
  /** Who runs this. */
  readonly user: { readonly uid: number; readonly groups: readonly number[] }
  /** Whether that user may read and write what is there. */
  readonly access: (path: string) => Promise<Access>
  readonly board: Board
  readonly hid: () => Promise<Hid>
  readonly tree: UsbTree
}

const QUICK_MS = 5_000
const LINES_MS = 20_000

export interface BoxProbes {
  /** Read files and nothing else. */
  readonly always: readonly Probe[]
  /** Open what a running terminal holds. */
  readonly alone: readonly Probe[]
}

export function probesOf(profile: Profile, tools: ProbeTools = realTools(profile)): BoxProbes {
  const probe = (check: string, run: (profile: Profile, tools: ProbeTools) => Promise<readonly Finding[]>, limitMs = QUICK_MS): Probe =>
    ({ check, limitMs, run: () => run(profile, tools) })
  return {
    always: [
      probe('board', async (_, { root }) => [good('board', await boardName(root))]),
      probe('memory', memory), probe('groups', groups), probe('serial ports', serial), probe('spi', spi), probe('consoles', consoles),
    ],
    alone: [probe('gpio', gpio, LINES_MS), probe('usb keypad', usbKeypad)],
  }
}

function realTools({ gpio, keypad }: Profile): ProbeTools {
  return {
    root: '/', user: { uid: process.getuid?.() ?? 0, groups: process.getgroups?.() ?? [] }, access: (path) => accessAt('/', path),
    board: boardOf(gpio), hid: () => loadHid(keypad.driver === 'usb' && keypad.exclusive), tree: createUsbTree(),
  }
}

// -- The box ------------------------------------------------------------------------------------------------------------

/** For Node, the drawing of pictures and the decoder of codes, with as much again to spare. */
const MEMORY_MB = 200
const MEMORY_MB_MIN = 64

async function memory(_: Profile, { root }: ProbeTools): Promise<readonly Finding[]> {
  const mb = await memoryMb(root)
  if (mb === undefined) return [unsure('memory', 'the kernel does not say how much memory is free', 'look at /proc/meminfo')]
  const says = `${mb.available.toFixed(0)} of ${mb.total.toFixed(0)} MB are available`
  if (mb.available >= MEMORY_MB) return [good('memory', says)]
  const fix = `end what else runs (at least ${MEMORY_MB} MB are wanted), or take a board with more`
  return [mb.available < MEMORY_MB_MIN ? bad('memory', says, fix) : unsure('memory', says, fix)]
}

/** Those of which the drivers of this box open something; udev gives it to them (systemd/60-plinth.rules). */
function groupsFor({ panel, keypad, buttons, register, lamps, release }: Profile): readonly string[] {
  const gpio = panel.driver === 'eink' || keypad.driver === 'matrix' || buttons.driver === 'gpio' || release.driver === 'pulse' ||
    lamps.driver === 'single' || lamps.driver === 'rgb' || lamps.driver === 'ring'
  return [
    ...(gpio ? ['gpio'] : []), ...(panel.driver === 'eink' ? ['spi'] : []), ...(panel.driver === 'framebuffer' ? ['video'] : []),
    ...(keypad.driver === 'usb' ? ['plugdev'] : []), ...(register.driver === 'line' && !isPty(register.path) ? ['dialout'] : []),
  ]
}

const isPty = (path: string): boolean => path.startsWith('/dev/pts/')

async function groups(profile: Profile, { root, user }: ProbeTools): Promise<readonly Finding[]> {
  const needed = groupsFor(profile)
  if (needed.length === 0) return [good('groups', 'this box needs no group')]
  if (user.uid === 0) {
    return [unsure('groups', `root needs no group; the terminal's user needs ${needed.join(', ')}`,
      'run the doctor as the terminal\'s user: sudo runuser -u plinth -- plinth doctor --config ...')]
  }
  const ids = await groupIds(root)
  const missing = needed.filter((name) => !user.groups.includes(ids.get(name) ?? -1))
  if (missing.length === 0) return [good('groups', `this user is in ${needed.join(', ')}`)]
  return [bad('groups', `this user is not in ${missing.join(', ')}, which this box needs`,
    `sudo usermod -aG ${missing.join(',')} and the user's name, then log in again or restart the service`)]
}

// -- Lines of the header ------------------------------------------------------------------------------------------------

interface HeaderLine {
  readonly pin: number
  /** Whose it is. */
  readonly part: string
  readonly use: 'output' | 'input' | 'open drain'
  readonly activeLow?: boolean
  /** What an input says of itself when it is active although nobody touches it. */
  readonly pressed?: string
}

function linesOf(profile: Profile): readonly HeaderLine[] {
  const { panel, keypad, buttons, release } = profile
  const outputs = outputsOf(profile).flatMap((wire: LightWire): readonly HeaderLine[] =>
    'led' in wire ? [] : [{ ...wire, part: release.driver === 'pulse' && release.pin === wire.pin ? 'release' : 'lamps', use: 'output' }])
  const panelPins = panel.driver !== 'eink' ? [] : Object.values(panel.pins).filter((pin) => pin !== 'none')
  return [
    // As inputs: whether they open is asked here, and driving them is the panel's own affair.
    ...panelPins.map((pin): HeaderLine => ({ pin, part: 'panel', use: 'input' })),
    ...(keypad.driver !== 'matrix' ? [] : [
      ...keypad.rows.map((pin): HeaderLine => ({ pin, part: 'keypad row', use: 'input', activeLow: true, pressed: 'is low with no column driven' })),
      ...keypad.columns.map((pin): HeaderLine => ({ pin, part: 'keypad column', use: 'open drain' })),
    ]),
    ...(buttons.driver !== 'gpio' ? [] : Object.entries(buttons.buttons).map(([name, { pin, activeLow }]): HeaderLine =>
      ({ pin, activeLow, part: `button ${name}`, use: 'input', pressed: 'reads as pressed' }))),
    ...outputs,
    ...(release.driver !== 'pulse' || release.feedback === undefined ? [] : [
      { pin: release.feedback.pin, activeLow: release.feedback.activeLow, part: 'sensor', use: 'input', pressed: 'sees something already' } as const]),
  ]
}

async function gpio(profile: Profile, { root, board }: ProbeTools): Promise<readonly Finding[]> {
  const lines = linesOf(profile)
  if (lines.length === 0) return [skipped('gpio chip', 'this box uses no line of the header')]
  try {
    const { label, lines: count, base } = await headerChip({ ...profile.gpio, root: join(root, 'sys/class/gpio') })
    const findings: Finding[] = [good('gpio chip', `${label}, ${count} lines, ${base === undefined ? 'without numbers' : `base ${base}`}`)]
    for (const line of lines) findings.push(await tryLine(line, board))
    return findings
  } catch (error) {
    const noGpio = 'is this the board that the profile is for? On another one set gpio.chip of the profile, or gpio.base; a kernel without ' +
      'CONFIG_GPIO_SYSFS has no lines for the terminal'
    return [badlySaid('gpio chip', sentenceOf(error), noGpio), skipped('gpio lines', `${lines.length} lines were not tried`)]
  }
}

async function tryLine(line: HeaderLine, board: Board): Promise<Finding> {
  const check = `gpio ${line.pin}`
  try {
    switch (line.use) {
      case 'output':
        (await board.openSafeOutput({ pin: line.pin, activeLow: line.activeLow ?? false })).close()
        return good(check, `${line.part}: opens, and is off`)
      case 'open drain':
        (await board.openOpenDrain(line.pin)).close()
        return good(check, `${line.part}: opens, and is let go`)
      case 'input': {
        const opened = await board.openInput(line.pin)
        const level = opened.level()
        opened.close()
        const active = line.pressed !== undefined && level === ((line.activeLow ?? false) ? 0 : 1)
        if (!active) return good(check, `${line.part}: opens, and is ${level === 0 ? 'low' : 'high'}`)
        const pull = line.activeLow === true ? `gpio=${line.pin}=ip,pu` : `gpio=${line.pin}=ip,pd`
        return bad(check, `${line.part}: ${line.pressed} (${level === 0 ? 'low' : 'high'}) although nobody touches it`,
          `let go of it, look for a short, put ${pull} into config.txt (or a resistor of 10 k), or correct activeLow in the profile`)
      }
    }
  } catch (error) {
    return badlySaid(check, `${line.part}: ${sentenceOf(error)}`, lineRemedy(error))
  }
}

function lineRemedy(error: unknown): string {
  const code = codeOf(error instanceof Error ? error.cause : undefined)
  if (code === 'EBUSY') return 'see who has it in /sys/kernel/debug/gpio; take its overlay out of config.txt, or wire another line'
  return code === 'EACCES' ? 'put the user into the group gpio' : 'wire another line, and name it in the profile'
}

// -- Keypad ---------------------------------------------------------------------------------------------------------------

async function usbKeypad({ keypad }: Profile, { hid, tree }: ProbeTools): Promise<readonly Finding[]> {
  if (keypad.driver !== 'usb') return [skipped('usb keypad', 'this box has no keypad on USB')]
  const found = await listKeypads(await hid(), tree)
  const choice = chooseKeypad(keypad.device, found)
  if ('fault' in choice) return [badlySaid('usb keypad', choice.fault, 'plug in the keypad that the profile names, or correct keypad.device in the profile')]
  const said = describeKeypad(choice.keypad)
  const file = choice.keypad.interfaces[0]?.file
  const may = file === undefined ? 'permitted' : await tree.accessTo(file)
  return [
    may === 'permitted' ? good('usb keypad', said) : bad('usb keypad', `${said} is there, and this user may not open ${file ?? 'it'}`,
      'install systemd/60-plinth.rules, put the user into the group plugdev, and plug the keypad in again'),
    keypad.exclusive ? good('keypad exclusive', 'the terminal takes the keypad away from the kernel while it runs')
      : unsure('keypad exclusive', 'keypad.exclusive is false: the kernel types its keys on the console as well',
        'set it to true, unless the keypad is not on USB; then sudo systemctl mask getty@tty1'),
  ]
}

// -- Serial lines and SPI -------------------------------------------------------------------------------------------------

async function serial({ register }: Profile, { root, access }: ProbeTools): Promise<readonly Finding[]> {
  const ports = await serialPorts(root)
  const seen = ports.length === 0 ? 'no serial line is on USB'
    : `on USB ${ports.map(({ byId, tty }) => `${byId.slice('/dev/serial/by-id/'.length)} (${tty})`).join(', ')}`
  if (register.driver !== 'line') return [skipped('serial ports', `this box has no register; ${seen}`)]
  const { path } = register
  const may = await access(path)
  if (may === 'gone') {
    return [bad('serial ports', `${path} is not there; ${seen}`,
      ports.length === 0 ? 'plug the register\'s adapter in' : `plug the register's adapter in, or set register.path to ${ports.map(({ byId }) => byId).join(' or ')}`)]
  }
  if (may === 'refused') return [bad('serial ports', `${path} is there, and this user may not open it`, 'put the user into the group dialout')]
  const tty = await ttyOf(root, path)
  const known = ports.find((port) => port.tty === tty)
  const same = `the register is on ${path}${tty === undefined || path.endsWith(`/${tty}`) ? '' : ` (${tty})`}`
  const numbered = /^\/dev\/tty(USB|ACM)[0-9]+$/.test(path)
  return [
    numbered && known !== undefined ? unsure('serial ports', `${same}, a name that changes with the order of plugging in`, `set register.path to ${known.byId}`)
      : good('serial ports', `${same}; ${seen}`),
    ...await serialConsole(root, tty),
  ]
}

/** The kernel, or a login prompt, on the line of the register: it would be answered with a password prompt. */
async function serialConsole(root: string, tty: string | undefined): Promise<readonly Finding[]> {
  if (tty === undefined) return []
  const login = await loginOn(root, tty)
  const kernel = (await kernelConsoles(root)).includes(tty)
  if (!kernel && login === undefined) return [good('serial console', `the line ${tty} is the register's alone`)]
  return [bad('serial console', `${[...(kernel ? ['the kernel writes its messages'] : []), ...(login === undefined ? [] : [`${login} waits for a login`])].join(' and ')} on ${tty}, the register's line`,
    `take console=${tty} (it may be written serial0) out of cmdline.txt, sudo systemctl mask serial-getty@${tty}, and start again`)]
}

/** The driver of e-ink panels sends so many bytes at once. */
const SPI_TRANSFER_BYTES = 4_096

async function spi({ panel }: Profile, { root, access }: ProbeTools): Promise<readonly Finding[]> {
  if (panel.driver !== 'eink') return [skipped('spi', 'this box has nothing on SPI')]
  const may = await access(panel.spi)
  if (may === 'gone') return [bad('spi', `${panel.spi} is not there`, 'put dtparam=spi=on into config.txt and start again')]
  if (may === 'refused') return [bad('spi', `${panel.spi} is there, and this user may not open it`, 'put the user into the group spi')]
  const size = Number(await textAt(root, 'sys/module/spidev/parameters/bufsiz') ?? NaN)
  return [good('spi', `${panel.spi} is there`), size >= SPI_TRANSFER_BYTES ? good('spi buffer', `${size} bytes at once`)
    : Number.isNaN(size) ? unsure('spi buffer', 'the kernel does not say how many bytes SPI takes at once', 'is the module spidev loaded? look at /sys/module/spidev')
    : bad('spi buffer', `SPI takes ${size} bytes at once, and the panel's driver sends ${SPI_TRANSFER_BYTES}`, 'put spidev.bufsiz=4096 into cmdline.txt and start again')]
}

// -- Consoles -------------------------------------------------------------------------------------------------------------

/** Keys must reach nothing else, and nothing else may write on the panel. */
async function consoles({ panel, keypad }: Profile, { root, access }: ProbeTools): Promise<readonly Finding[]> {
  const onPanel = panel.driver === 'framebuffer'
  if (!onPanel && keypad.driver !== 'usb') return [skipped('consoles', 'neither panel nor keypad is also that of a console')]
  const login = await loginOn(root, 'tty1')
  const prompt = login === undefined ? good('login prompt', 'none is on tty1')
    : (keypad.driver === 'usb' && !keypad.exclusive) || onPanel
      ? bad('login prompt', `${login} is on tty1: ${onPanel ? 'it writes on the panel' : 'it reads the keypad\'s keys'}`, MASK_GETTY)
      : unsure('login prompt', `${login} is on tty1: it reads the keypad's keys whenever the terminal is not running`, MASK_GETTY)
  return [prompt, ...(onPanel ? await panelConsole(root, access) : [])]
}

const MASK_GETTY = 'sudo systemctl mask --now getty@tty1'

async function panelConsole(root: string, access: ProbeTools['access']): Promise<readonly Finding[]> {
  const drawing = await framebufferConsole(root)
  const kernel = (await kernelConsoles(root)).filter((name) => /^tty[0-9]*$/.test(name))
  if (drawing === undefined) return [good('panel console', 'the kernel\'s console draws on no panel')]
  const ours = await access(drawing.bind) === 'permitted'
  if (ours && kernel.length === 0) return [good('panel console', `${drawing.name} draws on the panel; the terminal takes it away`)]
  return [bad('panel console', `${drawing.name} draws on the panel${kernel.length === 0 ? ', and this user may not stop it' : `, with the kernel's messages (console=${kernel.join(', ')})`}`,
    'put fbcon=map:9 into cmdline.txt, take console=tty1 out of it, and start again')]
}
