--- mw.log: of a program that has not said who it is.
return require("moonwatch.logger").named "script"
