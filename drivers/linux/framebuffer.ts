/**
 * What Linux says of its framebuffers in sysfs (fbsysfs.c; fbcon.rst for the console): which there are,
 * their geometry, and the switches of light, blanking and console. Whatever a panel cannot be drawn without is an error;
 * whatever only spoils the look is a warning with its remedy.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { DriverError } from '../driver.js'

/** Where the kernel shows its devices; another place in the tests. */
export interface LinuxRoots {
  readonly sys: string
  readonly dev: string
}

export const REAL_ROOTS: LinuxRoots = { sys: '/sys', dev: '/dev' }

export interface FramebufferGeometry {
  /** What can be seen; the memory may be higher or wider. */
  readonly widthPx: number
  readonly heightPx: number
  readonly bytesPerDot: 2 | 4
  /** From one row to the next: may be more than the dots need. */
  readonly strideBytes: number
  /** Where the upper left dot is. */
  readonly firstByte: number
}

export interface Framebuffer {
  /** /dev/fb1 */
  readonly path: string
  /** For messages: '/dev/fb1 (panel-mipi-dbid)' */
  readonly title: string
  /** Its folder in sysfs. */
  readonly folder: string
  readonly geometry: FramebufferGeometry
}

interface Candidate {
  /** 'fb1' */
  readonly node: string
  readonly name: string
}

/** `device` is the name that its driver gave it, or /dev/fbN. */
export async function findFramebuffer(device: string, { sys, dev }: LinuxRoots): Promise<Framebuffer> {
  const graphics = join(sys, 'class/graphics')
  const there = await candidates(graphics)
  if (there.length === 0) {
    throw new DriverError('PANEL_OPEN_FAILED',
      `this machine has no framebuffer (${graphics}): is the panel's overlay in config.txt, and is an HDMI panel switched on before the board?`)
  }
  const list = there.map(({ node, name }) => `${name} (/dev/${node})`).join(', ')
  const [found, another] = there.filter(({ node, name }) => device === name || device === `/dev/${node}`)
  if (found === undefined) throw new DriverError('PANEL_OPEN_FAILED', `there is no framebuffer ${device}; there are ${list}`)
  if (another !== undefined) {
    throw new DriverError('PANEL_OPEN_FAILED', `several framebuffers are named ${device}: ${list}; name the one by its path`)
  }
  const folder = join(graphics, found.node)
  const title = `/dev/${found.node} (${found.name})`
  return { path: join(dev, found.node), title, folder, geometry: await geometryOf(folder, title) }
}

async function candidates(graphics: string): Promise<readonly Candidate[]> {
  const nodes = (await namesIn(graphics)).filter((node) => /^fb[0-9]+$/.test(node)) // 'fbcon' is the console.
  return Promise.all(nodes.map(async (node) => ({ node, name: await attribute(join(graphics, node, 'name')) })))
}

async function geometryOf(folder: string, title: string): Promise<FramebufferGeometry> {
  const read = async (name: string): Promise<string> => attribute(join(folder, name))
  const refuse = (what: string): never => { throw new DriverError('PANEL_OPEN_FAILED', `${title} ${what}`) }

  const virtual = /^(\d+),(\d+)$/.exec(await read('virtual_size'))?.slice(1).map(Number)
  const [virtualWidth = 0, virtualHeight = 0] = virtual ?? refuse('does not say its virtual_size')
  // 'U:800x480p-60'. Without a mode the whole memory is the picture.
  const [modeWidth = virtualWidth, modeHeight = virtualHeight] = /^\w+:(\d+)x(\d+)/.exec(await read('modes'))?.slice(1).map(Number) ?? []
  const [widthPx, heightPx] = [Math.min(modeWidth, virtualWidth), Math.min(modeHeight, virtualHeight)]

  const depth = Number(await read('bits_per_pixel'))
  if (depth !== 16 && depth !== 32) {
    return refuse(`has ${depth} bits a dot; 16 (RGB565) and 32 (XRGB8888) can be driven: set its depth by video= in cmdline.txt`)
  }
  const bytesPerDot = depth === 16 ? 2 : 4
  const strideBytes = Number(await read('stride'))
  const [panX = 0, panY = 0] = /^(\d+),(\d+)$/.exec(await read('pan'))?.slice(1).map(Number) ?? []
  if (widthPx === 0 || heightPx === 0 || !(strideBytes >= (panX + widthPx) * bytesPerDot) || panY + heightPx > virtualHeight) {
    return refuse(`contradicts itself: ${widthPx}x${heightPx} dots from ${panX},${panY} on in ${virtualWidth}x${virtualHeight}, ` +
      `${depth} bits a dot, ${strideBytes} bytes a row`)
  }
  return { widthPx, heightPx, bytesPerDot, strideBytes, firstByte: panY * strideBytes + panX * bytesPerDot }
}

/** Where the switches below become writable for the group video. */
const RULES = 'install 60-plinth.rules into /usr/lib/udev/rules.d and start again'

/**
 * A cursor or a line of the kernel would stand in the picture. Tells whether a console was there: whose framebuffer it is
 * the kernel does not say.
 */
export async function freeFromConsole({ title }: Framebuffer, { sys }: LinuxRoots, log: Logger): Promise<boolean> {
  const consoles = join(sys, 'class/vtconsole')
  let found = false
  for (const each of await namesIn(consoles)) {
    const bind = join(consoles, each, 'bind')
    if (!(await attribute(join(consoles, each, 'name'))).includes('frame buffer') || await attribute(bind) !== '1') continue
    found = true
    const error = await set(bind, '0')
    if (error !== undefined) {
      log.warn({ framebuffer: title, console: each, error }, `the console writes on the panel; ${RULES}, or add fbcon=map:9 to cmdline.txt`)
    }
  }
  return found
}

/**
 * Written at every opening: sysfs does not say whether a panel is blanked, and behind DRM it is this very write, or a console,
 * that sets the mode. Until then the panel is black whatever is drawn (drm_fb_helper_blank; seen on 6.1 with fbcon=map:9).
 */
export async function switchOn({ title, folder }: Framebuffer, { sys }: LinuxRoots, hadConsole: boolean, log: Logger): Promise<void> {
  const error = await set(join(folder, 'blank'), '0')
  if (error !== undefined && ['EACCES', 'EPERM', 'EROFS'].includes(error)) {
    if (!hadConsole) {
      throw new DriverError('PANEL_OPEN_FAILED',
        `${title} may be dark: no console has switched it on, and ${join(folder, 'blank')} cannot be written (${error}): ${RULES}`)
    }
    log.warn({ framebuffer: title, error }, `panel cannot be unblanked; ${RULES}, or add consoleblank=0 to cmdline.txt`)
  } else if (error !== undefined) {
    log.info({ framebuffer: title, error }, 'panel cannot be blanked, and so it is not') // vfb and the like: EINVAL.
  }
  const lights = join(sys, 'class/backlight')
  for (const light of await namesIn(lights)) {
    const at = (name: string): string => join(lights, light, name)
    const wrong = [
      ...(['0', ''].includes(await attribute(at('bl_power'))) ? [] : [await set(at('bl_power'), '0')]),
      ...(await attribute(at('brightness')) === '0' ? [await set(at('brightness'), await attribute(at('max_brightness')))] : []),
    ].filter((error) => error !== undefined)
    if (wrong.length > 0) log.warn({ framebuffer: title, backlight: light, error: wrong[0] }, `the backlight is off and cannot be switched on; ${RULES}`)
  }
}

/** Empty when the folder is not there. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch {
    return []
  }
}

/** Empty when the attribute is not there, or cannot be read. */
async function attribute(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch {
    return ''
  }
}

/** The error's code when it could not be set. */
async function set(path: string, value: string): Promise<string | undefined> {
  try {
    await writeFile(path, value, { flag: 'r+' })
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
