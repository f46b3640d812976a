/**
 * The units as systemd's own programs read them. Where such a program is not installed its part is said to be not run,
 * and what this file can see by itself is checked all the same.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const systemd = join(import.meta.dirname, '../../systemd')
const read = (name: string): string => readFileSync(join(systemd, name), 'utf8')

const UNITS = [
  { unit: 'plinth-terminal.service', program: 'plinth', config: '/etc/plinth/terminal.json', user: 'plinth' },
  { unit: 'plinth-gateway.service', program: 'plinth-gateway', config: '/etc/plinth-gateway/gateway.json', user: 'plinth-gateway' },
] as const

let folder: string
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'plinth-units-')) })
afterAll(() => rmSync(folder, { recursive: true }))

/** What a program of systemd says, or undefined (and aloud why) where it is not installed. */
function ask(program: string, ...args: readonly string[]): { readonly status: number | null; readonly said: string } | undefined {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 })
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    console.info(`not run: ${program} is not installed on this machine`)
    return undefined
  }
  return { status, said: `${stdout}${stderr}${error?.message ?? ''}` }
}

/** The settings of a unit, several under one name joined by newlines. */
function settingsOf(text: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>()
  for (const line of text.split('\n').filter((each) => /^[A-Za-z]+=/.test(each))) {
    const [name = '', ...value] = line.split('=')
    settings.set(name, settings.has(name) ? `${settings.get(name) ?? ''}\n${value.join('=')}` : value.join('='))
  }
  return settings
}

describe.each(UNITS)('$unit', ({ unit, program, config, user }) => {
  const settings = settingsOf(read(unit))

  test('is accepted by systemd-analyze verify without a word', () => {
    const executable = join(folder, program)
    writeFileSync(executable, '#!/bin/sh\n')
    chmodSync(executable, 0o755)
    const copy = join(folder, unit)
    writeFileSync(copy, read(unit).replace(/^(Exec\w+=)[\w-]+ /gm, `$1${executable} `))

    const verified = ask('systemd-analyze', 'verify', '--man=no', copy)
    if (verified !== undefined) expect(verified).toEqual({ status: 0, said: '' })
    expect(readFileSync(copy, 'utf8').match(new RegExp(`^Exec(?:StartPre|Start)=${executable} `, 'gm'))).toHaveLength(2)
  })

  test('checks its configuration before it runs with it, and does not run again with a bad one', () => {
    expect(settings.get('ExecStartPre')).toBe(`${program} check --config ${config}`)
    expect(settings.get('ExecStart')).toBe(`${program} run --config ${config}`)
    expect(settings.get('RestartPreventExitStatus')).toBe('2')
    expect(settings.get('Restart')).toBe('always')
  })

  test('runs a program that the package installs', () => {
    const { bin } = JSON.parse(readFileSync(join(systemd, '../package.json'), 'utf8')) as { bin: Record<string, string> } // npm's own form.
    expect(Object.keys(bin)).toContain(program)
  })

  test('claims no readiness that the program does not tell', () => {
    expect(settings.get('Type')).toBe('exec')
    expect(settings.has('WatchdogSec')).toBe(false)
  })

  test('runs as a user of its own, without privileges, and leaves no core file with its keys', () => {
    expect(settings.get('User')).toBe(user)
    expect(read('plinth.sysusers')).toMatch(new RegExp(`^u +${user} `, 'm'))
    expect(settings.get('NoNewPrivileges')).toBe('yes')
    expect(settings.get('CapabilityBoundingSet')).toBe('')
    expect(settings.get('ProtectSystem')).toBe('strict')
    expect(settings.get('UMask')).toBe('0077')
    expect(settings.get('LimitCORE')).toBe('0')
  })

  test('writes only where its state is', () => {
    expect(settings.get('StateDirectory')).toBe(user)
    expect(settings.get('WorkingDirectory')).toBe(`/var/lib/${user}`)
    expect(settings.has('ReadWritePaths')).toBe(false)
  })
})

describe('the terminal', () => {
  const settings = settingsOf(read('plinth-terminal.service'))

  test('may reach every kind of hardware that a profile can name, by its groups', () => {
    expect(settings.get('SupplementaryGroups')?.split(' ')).toEqual(['dialout', 'gpio', 'spi', 'video', 'input', 'plugdev'])
  })

  test('can write to the lines and lights that the kernel shows under /sys', () => {
    expect(settings.has('ProtectKernelTunables')).toBe(false)
    expect(settings.has('PrivateDevices')).toBe(false)
    expect(settings.has('ReadOnlyPaths')).toBe(false)
  })
})

describe('users and folders', () => {
  test('are made by systemd-sysusers and systemd-tmpfiles, with the identity for nobody but the terminal', () => {
    const root = join(folder, 'root')
    mkdirSync(join(root, 'etc/plinth'), { recursive: true })
    mkdirSync(join(root, 'var/lib'), { recursive: true })
    writeFileSync(join(root, 'etc/plinth/identity.json'), '{}', { mode: 0o644 })

    const users = ask('systemd-sysusers', `--root=${root}`, join(systemd, 'plinth.sysusers'))
    if (users !== undefined) {
      expect(users).toMatchObject({ status: 0 })
      const passwd = readFileSync(join(root, 'etc/passwd'), 'utf8')
      for (const { user } of UNITS) expect(passwd).toMatch(new RegExp(`^${user}:.*:/var/lib/${user}:.*nologin$`, 'm'))
      const groups = readFileSync(join(root, 'etc/group'), 'utf8')
      for (const group of ['dialout', 'input', 'gpio', 'spi', 'plugdev', 'video']) expect(groups).toMatch(new RegExp(`^${group}:.*:plinth$`, 'm'))
    }
    // Giving files away needs root; elsewhere only the syntax is looked at, by the reader below.
    if (users !== undefined && process.getuid?.() === 0) {
      const made = ask('systemd-tmpfiles', `--root=${root}`, '--create', join(systemd, 'plinth.tmpfiles'))
      if (made !== undefined) {
        expect(made).toEqual({ status: 0, said: '' })
        const mode = (path: string): number => statSync(join(root, path)).mode & 0o777
        expect(mode('etc/plinth/identity.json')).toBe(0o600)
        expect([mode('etc/plinth'), mode('var/lib/plinth'), mode('var/lib/plinth-gateway')]).toEqual([0o750, 0o700, 0o700])
        expect(existsSync(join(root, 'etc/plinth-gateway'))).toBe(true)
      }
    }
    for (const line of entries('plinth.tmpfiles')) expect(line).toMatch(/^[dz] +\/\S+ +0[0-7]{3} +\S+ +\S+ +-$/)
    for (const line of entries('plinth.sysusers')) expect(line).toMatch(/^([ug] +[a-z-]+ +-( +"[^"]+" +\/\S+)?|m +plinth +[a-z]+)$/)
  })
})

describe('60-plinth.rules', () => {
  test('is accepted by udevadm where that can judge rules', () => {
    const version = Number(/\d+/.exec(ask('udevadm', '--version')?.said ?? '')?.[0] ?? 0)
    const verified = version >= 254 ? ask('udevadm', 'verify', join(systemd, '60-plinth.rules')) : undefined
    if (verified !== undefined) expect(verified.status, verified.said).toBe(0)
    const term = String.raw`(SUBSYSTEM|KERNEL|DRIVERS|ACTION|ENV\{\w+\})=="[^"]+"|RUN\+="[^"]+"|(GROUP|MODE)="[^"]+"|ENV\{\w+\}="[^"]+"|SYMLINK\+="[^"]+"`
    const rules = entries('60-plinth.rules')
    expect(rules.length).toBeGreaterThan(1)
    for (const rule of rules) expect(rule).toMatch(new RegExp(`^(${term})(, (${term}))*$`))
  })

  test('gives serial lines, GPIO, panels and keypads to groups that the terminal has, and to nobody else', () => {
    const groups = settingsOf(read('plinth-terminal.service')).get('SupplementaryGroups')?.split(' ') ?? []
    const given = [...read('60-plinth.rules').matchAll(/GROUP="(\w+)", MODE="(\d+)"/g)]
    expect(given.map(([, group]) => group)).toEqual(['dialout', 'gpio', 'spi', 'video', 'plugdev', 'plugdev'])
    for (const [, group, mode] of given) {
      expect(groups).toContain(group)
      expect(mode).toBe('0660')
    }
  })

  test('gives the switches of an LCD to the group video: picture, console and light', () => {
    const given = [...read('60-plinth.rules').matchAll(/^SUBSYSTEM=="(\w+)".*RUN\+="\/bin\/sh -c 'chgrp video (.+) && chmod g\+w (.+)'"$/gm)]
    expect(given.map(([, subsystem, files, writable]) => [subsystem, files, writable])).toEqual([
      ['graphics', '/sys%p/blank', '/sys%p/blank'],
      ['vtconsole', '/sys%p/bind', '/sys%p/bind'],
      ['backlight', '/sys%p/bl_power /sys%p/brightness', '/sys%p/bl_power /sys%p/brightness'],
    ])
  })

  test('names the register as the shipped profiles do', () => {
    const named = /SYMLINK\+="([^"]+)"/.exec(read('60-plinth.rules'))?.[1]
    const profile = readFileSync(join(systemd, '../firmware-config/profiles/register-stand.json'), 'utf8')
    expect(profile).toContain(`"/dev/${named}"`)
  })
})

const entries = (name: string): readonly string[] => read(name).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
