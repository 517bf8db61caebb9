"""Backup, restore and the report for a bug: what an owner does with the house's files.

In reading order:

    contents   what belongs into a backup
    archive    the backup's file: how it is made and read
    rotation   which backups stay
    collect    copying the files of one folder, as its owner
    restore    everything is checked before anything is changed
    put_back   putting files into one folder, as its owner
    owner      as root, work in a folder as its owner
    services   the services of this machine, and having none run for a while
    report     one file for a bug report
    facts      what machine this is
    gather     what a report reads in the controller's folder
    redact     secrets and names are taken out
"""
